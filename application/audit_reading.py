"""Reads of data about people and tokens become events (PCI DSS 10.2.1.3: access to audit trails is
logged).

The service counts them and records each kind at most once a minute, unless much waits to be
recorded; a command of an operator is recorded at once, before its answer is shown.

1. Every read is recorded with its parameters, whole: what is cut hides what was read.
2. Parameters are kept as a query string: with names and values as free text a value could look like
   another parameter.
3. An event has as many parameters as fit it; more of them are another event.
4. Where the log did not take what was read, no more is answered until it does, and it is asked
   again at once; where it is only slow, no more than fits into a bounded memory.
5. What cannot be recorded at the end of the process goes into the log of the process. A process
   that is killed loses what it counted since it recorded last.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from application.coalescing import CoalescingRecorder
from application.errors import TemporarilyUnavailable
from application.ports import Clock, EventLog, Ids
from domain.audit_reading import AuditReading, Reading
from domain.provenance import Provenance

_log = logging.getLogger(__name__)

EVENT_CHARACTERS = 16_384
"""Parameters in one event, together; a single read may bring more, and has an event of its own."""
SOON_CHARACTERS = 262_144
"""What waits before it is recorded at once, and not when the minute is over."""
MOST_CHARACTERS = 4_194_304
"""What waits at most."""


def as_query(parameters: Iterable[tuple[str, object]]) -> str:
    """Return names and values as a query string: ASCII, and never to be read in two ways (2)."""
    return "&".join(f"{_quoted(name)}={_quoted(str(value))}" for name, value in parameters)


def _quoted(text: str) -> str:
    # What is typed into a terminal need not be text: such bytes are surrogates here.
    return quote(text.encode("utf-8", "surrogatepass"), safe="/:@,*!()")


@dataclass(frozen=True, slots=True)
class _Kind:
    """Reads that become one event: `part` counts the events of one reading since the last flush."""

    reading: Reading
    part: int


@dataclass(frozen=True, slots=True)
class _Reads:
    count: int
    parameters: dict[str, None]
    characters: int
    first_at: datetime
    last_at: datetime

    def is_full_for(self, parameters: str) -> bool:
        """Tell whether `parameters` belong into another event."""
        more = parameters not in self.parameters
        return more and self.characters + len(parameters) > EVENT_CHARACTERS


class AuditReadingRecorder(CoalescingRecorder[_Kind, _Reads, AuditReading]):
    """Counts who read what; records it once a minute, or when `much` is set."""

    def __init__(self, *, log: EventLog, clock: Clock, ids: Ids, process: str) -> None:
        super().__init__(log=log, clock=clock, ids=ids, process=process)
        self.much = asyncio.Event()
        self._parts: dict[Reading, int] = {}

    def note(
        self, *, reader: str, via: str, what: str, provenance: Provenance, parameters: str = ""
    ) -> None:
        """Count one read of `what` by `reader` over `via` ("http", "cli" or "console").

        `parameters` is the query string of what was asked with (see `as_query`). Raises
        TemporarilyUnavailable where the read might leave no trace: then nothing may be shown.
        """
        if self._unsettled:  # 4
            self.much.set()
            raise TemporarilyUnavailable(reason="reads could not be recorded")
        waiting = self._characters()
        if waiting + len(parameters) > MOST_CHARACTERS:  # 4
            raise TemporarilyUnavailable(reason="reads cannot be recorded at the moment")
        reading = Reading(reader, via, what)
        kind = _Kind(reading, self._parts.get(reading, 0))
        known = self._waiting.get(kind)
        if known is not None and known.is_full_for(parameters):  # 3
            kind = _Kind(reading, kind.part + 1)
            self._parts[reading] = kind.part
        at = provenance.occurred_at
        self._add(kind, _Reads(1, {parameters: None}, len(parameters), at, at))
        if waiting + len(parameters) > SOON_CHARACTERS:
            self.much.set()

    async def flush(self) -> None:
        """Record what was counted since the last flush; what cannot be recorded waits on."""
        self.much.clear()
        self._parts.clear()
        await super().flush()

    async def close(self) -> None:
        """Record what waits, for the last time."""
        await self.flush()
        for kind, reads in (*self._unsettled, *self._waiting.items()):  # 5
            _log.error(
                "reads may be unrecorded: %s read %s over %s, %d times until %s, asking for %s",
                kind.reading.by,
                kind.reading.what,
                kind.reading.via,
                reads.count,
                reads.last_at,
                tuple(reads.parameters),
            )

    def _characters(self) -> int:
        return sum(reads.characters for reads in self._waiting.values())

    def _sum(self, one: _Reads, other: _Reads) -> _Reads:
        parameters = {**one.parameters, **other.parameters}
        return _Reads(
            one.count + other.count,
            parameters,
            sum(map(len, parameters)),
            min(one.first_at, other.first_at),
            max(one.last_at, other.last_at),
        )

    def _stream_of(self, _: _Kind) -> str:
        return "all"

    def _start(self, _: _Kind, day: str, provenance: Provenance) -> AuditReading:
        return AuditReading.start(
            self._ids.stream_id(provenance.occurred_at),
            process=self._process,
            day=day,
            provenance=provenance,
        )

    def _record(
        self, stream: AuditReading, kind: _Kind, count: _Reads, provenance: Provenance
    ) -> None:
        stream.read(
            kind.reading,
            # What nothing narrowed is "" beside others: it must not look narrowed.
            parameters=tuple(count.parameters) if any(count.parameters) else (),
            count=count.count,
            first_at=count.first_at,
            last_at=count.last_at,
            provenance=provenance,
        )


async def record_at_once(
    reading: Reading,
    *,
    parameters: str,
    process: str,
    log: EventLog,
    ids: Ids,
    provenance: Provenance,
) -> None:
    """Record one read before it is answered; `parameters` as of `as_query`.

    Raises LedgerUnavailable.
    """
    at = provenance.occurred_at
    stream = AuditReading.start(
        ids.stream_id(at), process=process, day=at.strftime("%Y-%m-%d"), provenance=provenance
    )
    stream.read(
        reading,
        parameters=(parameters,) if parameters else (),
        count=1,
        first_at=at,
        last_at=at,
        provenance=provenance,
    )
    await log.save(stream)
