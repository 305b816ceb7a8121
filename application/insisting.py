"""Recording an end, whatever is going on upon the streams that it ends.

A use that loses a race starts again, and may give up. An end must not: a client that repeats its
predecessor or refreshes in a loop would keep its grant alive by that alone. So an end that lost a
race announces its streams (application.ledger.announced_ends), and nothing but ends is recorded
there until it is through.

Each further attempt announces what the one before had in its unit. After the first, the family or
session itself is still, so that nothing is added to what ends with it; after the second, all of
that is. What can still come first is another end of the same streams, which leaves less to end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID, uuid4

from application.errors import TemporarilyUnavailable
from application.ledger.errors import Conflict, EndAnnounced, LedgerUnavailable
from application.ports import EventLog
from domain.recorded import Recorded

ATTEMPTS = 64
"""Lost races before giving up: each was won by another writer of the same streams."""
STAND_BACK_SECONDS = 0.02
"""How long a use waits before it looks again whether an announced end is recorded."""


async def insist(
    log: EventLog,
    decide: Callable[[], Awaitable[Sequence[Recorded]]],
    *,
    first: Sequence[Recorded] | None = None,
) -> None:
    """Record the unit that `decide` returns; it is called anew after each lost race, and reads what
    it decides upon. `first` is a unit that was decided already, for the first attempt.

    Raises what `decide` raises, TemporarilyUnavailable after too many lost races,
    LedgerUnavailable.
    """
    holder: UUID | None = None
    streams: set[UUID] = set()
    try:
        for _ in range(ATTEMPTS):
            unit, first = first if first is not None else await decide(), None
            try:
                await (log.save(*unit) if holder is None else log.save_end(holder, *unit))
            except Conflict:
                holder = holder or uuid4()
                streams.update(one.id for one in unit)
                await log.announce(holder, streams)
                continue
            return
        raise TemporarilyUnavailable(reason="too many ends of one stream at once")
    finally:
        if holder is not None:
            with suppress(LedgerUnavailable):  # then the announcement ends by itself
                await log.withdraw(holder)


async def stand_back(lost: Conflict) -> None:
    """Let an announced end be recorded before a use that met it starts again."""
    if isinstance(lost, EndAnnounced):
        await asyncio.sleep(STAND_BACK_SECONDS)
