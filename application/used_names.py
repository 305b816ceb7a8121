"""What counts once: names of assertions and proofs, remembered for all replicas until they expire.

A name is remembered OUTLIVES longer than it could be accepted (application.single_use): what is
swept at the very moment of its end is new to a request that came before and is still being read.

Uses that come together are written by one statement, each in the place of its `kind` and `key` in
the table of application.one_time_values: of two that come at once, on whatever replica, one is new.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime

from application.ledger.errors import LedgerUnavailable
from application.side_tables import SideTables
from application.single_use import OUTLIVES

# In one order, so that two replicas that write the same names never wait for each other.
_USE = """
INSERT INTO grantledger.one_time_values (kind, key, content, expires_at)
SELECT kind, key, ''::bytea, expires_at
FROM unnest(%(kinds)s::text[], %(keys)s::bytea[], %(ends)s::timestamptz[])
    AS used (kind, key, expires_at)
ORDER BY kind, key
ON CONFLICT (kind, key) DO UPDATE SET expires_at = excluded.expires_at
WHERE one_time_values.expires_at <= %(now)s
RETURNING kind, key"""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Batch:
    """Uses that wait for one statement: kind and key, and until when each name is remembered (UTC).

    `now` is the earliest arrival: a name that may still count for that one is not written over.
    """

    now: datetime
    uses: dict[tuple[str, bytes], datetime] = field(default_factory=dict)
    written: "asyncio.Future[set[tuple[str, bytes]]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: LedgerUnavailable) -> None:
        """Tell whoever waits. Nobody may wait any more, and that is no mistake."""
        self.written.set_exception(error)
        self.written.exception()


class UsedNames:
    """Uses names; one statement is on its way at a time."""

    def __init__(self, tables: SideTables) -> None:
        self._tables = tables
        self._waiting: _Batch | None = None
        self._writer: asyncio.Task[None] | None = None

    async def use(self, kind: str, key: bytes, *, expires_at: datetime, now: datetime) -> bool:
        """Use the name `key` of `kind`, which nothing accepts any more from `expires_at` (aware,
        UTC) on. `now` is the arrival of the request.

        Returns False where it was used before. Raises LedgerUnavailable.
        """
        batch = self._waiting
        if batch is None:
            batch = self._waiting = _Batch(now)
        name = (kind, key)
        if name in batch.uses:
            return False
        batch.uses[name] = expires_at + OUTLIVES
        batch.now = min(batch.now, now)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="used names")
        # Shielded: who gives up waiting must not take the answer from the others.
        return name in await asyncio.shield(batch.written)

    async def _write(self) -> None:
        while (batch := self._waiting) is not None:
            self._waiting = None
            try:
                batch.written.set_result(await self._new_of(batch))
            except LedgerUnavailable as error:
                batch.fail(error)
            except Exception:
                # The next batch waits already, and nobody else would write it.
                _log.exception("used names could not be written, in an unforeseen way")
                batch.fail(LedgerUnavailable("the used names could not be written"))
            except BaseException:
                batch.fail(LedgerUnavailable("the writer of used names was stopped"))
                raise

    async def _new_of(self, batch: _Batch) -> set[tuple[str, bytes]]:
        rows = await self._tables.ask(
            _USE,
            {
                "kinds": [kind for kind, _ in batch.uses],
                "keys": [key for _, key in batch.uses],
                "ends": list(batch.uses.values()),
                "now": batch.now,
            },
        )
        return {(kind, bytes(key)) for kind, key in rows}
