"""Counts what happens often and records it seldom: an event for each kind of it and flush.

1. What cannot be recorded waits on; what was handed to the log without a clear answer is looked up
   first, so that counts add up.
2. Each kind is taken alone, and its stream put back only once it is recorded: whoever cancels a
   flush, at shutdown, loses none of the others and continues no uncertain stream.
3. Streams end with the day (UTC), so that none grows for ever, and where the log went back, which
   may have lost the last of their events.
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Generic, TypeVar

from application.ledger.errors import LedgerError
from application.ports import Clock, EventLog, Ids
from application.unsettled import Unsettled
from domain.provenance import Provenance
from domain.recorded import Recorded

Kind = TypeVar("Kind")
Count = TypeVar("Count")
Stream = TypeVar("Stream", bound=Recorded)


class CoalescingRecorder(ABC, Generic[Kind, Count, Stream]):
    """Counts by kind; a subclass says what a count is and which stream it goes to."""

    def __init__(self, *, log: EventLog, clock: Clock, ids: Ids, process: str) -> None:
        self._log = log
        self._clock = clock
        self._ids = ids
        self._process = process
        self._waiting: dict[Kind, Count] = {}
        self._unsettled: Unsettled[tuple[Kind, Count]] = Unsettled()
        self._streams: dict[str, Stream] = {}
        self._day = ""
        self._generation = log.generation

    async def flush(self) -> None:
        """Record what was counted since the last flush, as far as it is due; the rest waits on."""
        try:
            for kind, count in await self._unsettled.settle(self._log):  # 1
                self._add(kind, count)
        except LedgerError:
            return
        now = self._clock.now()
        self._new_day(now)  # 3
        for kind in list(self._waiting):
            if not self._due(kind, now):
                continue
            self._forget_lost()  # 3
            count = self._waiting.pop(kind)  # 2
            provenance = Provenance(now, self._ids.request_id())
            name = self._stream_of(kind)
            stream = self._streams.pop(name, None) or self._start(kind, self._day, provenance)
            self._record(stream, kind, count, provenance)
            generation = self._generation
            try:
                await self._log.save(stream)
                if generation == self._log.generation:
                    self._streams[name] = stream
            except LedgerError:
                self._unsettled.add(stream, (kind, count))

    def _add(self, kind: Kind, count: Count) -> None:
        """Count in what is noted now, or what turned out not to be recorded."""
        known = self._waiting.get(kind)
        self._waiting[kind] = count if known is None else self._sum(known, count)

    def _forget_lost(self) -> None:
        if self._generation != self._log.generation:
            self._generation = self._log.generation
            self._streams.clear()

    def _due(self, kind: Kind, now: datetime, /) -> bool:  # noqa: ARG002
        """Tell whether the kind may be recorded at `now`; always, unless a subclass says less."""
        return True

    def _new_day(self, now: datetime) -> None:
        day = now.strftime("%Y-%m-%d")
        if day != self._day:
            self._day = day
            self._streams.clear()

    @abstractmethod
    def _sum(self, one: Count, other: Count) -> Count:
        """Return both counts as one."""

    @abstractmethod
    def _stream_of(self, kind: Kind, /) -> str:
        """Return which stream of this process and day the kind belongs to."""

    @abstractmethod
    def _start(self, kind: Kind, /, day: str, provenance: Provenance) -> Stream:
        """Open the stream that the kind belongs to."""

    @abstractmethod
    def _record(self, stream: Stream, kind: Kind, /, count: Count, provenance: Provenance) -> None:
        """Decide the event that carries `count`."""
