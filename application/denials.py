"""Refusals become events: each is recorded with its true reason, a flood of them coalesced.

1. Refusals of one cause (client, error, reason, address, endpoint) within a flush are one event.
2. A flush writes at most what the budget holds: BURST at once, then PER_SECOND. What it may not
   write yet waits in memory and keeps counting.
3. Past KEYS different causes in waiting, who and where are given up, and past MOST_KEYS the reason
   as well; the count is not. What is left are endpoints, grant types and error codes: few.
4. With PostgreSQL away everything waits; nothing is dropped.

A refusal is answered before it is recorded: an attacker must not be able to make us wait.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from application.ledger.errors import LedgerError
from application.ports import Clock, EventLog, Ids
from application.unsettled import Unsettled
from domain.denial_log import Denial, DenialLog
from domain.provenance import Provenance

BURST = 64
PER_SECOND = 3.0
KEYS = 512
MOST_KEYS = 640

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    count: int
    first_at: datetime
    last_at: datetime
    request_id: str
    traceparent: str


class DenialRecorder:
    """Counts refusals and records them once a second."""

    def __init__(self, *, log: EventLog, clock: Clock, ids: Ids, process: str) -> None:
        self._log = log
        self._clock = clock
        self._ids = ids
        self._process = process
        self._waiting: dict[Denial, _Waiting] = {}
        self._unsettled: Unsettled[dict[Denial, _Waiting]] = Unsettled()
        self._stream: DenialLog | None = None
        self._generation = log.generation
        self._hour = ""
        self._budget = float(BURST)
        self._refilled_at = clock.now()

    def note(self, denial: Denial, provenance: Provenance) -> None:
        """Count one refusal; it is recorded with the next flush that has room for it."""
        key = denial
        if key not in self._waiting and len(self._waiting) >= KEYS:
            key = denial.anonymised()
        if key not in self._waiting and len(self._waiting) >= MOST_KEYS:
            key = denial.unexplained()
        self._add(key, _once(provenance))

    async def flush(self, *, everything: bool = False) -> None:
        """Record what waits, as far as the budget goes, or `everything` (at shutdown)."""
        if not await self._settle():
            return
        now = self._clock.now()
        self._refill(now)
        # The budget is overdrawn after a flush of everything.
        room = len(self._waiting) if everything else min(len(self._waiting), int(self._budget))
        if room <= 0:
            return
        taken = {key: self._waiting.pop(key) for key in list(self._waiting)[:room]}
        provenance = Provenance(now, self._ids.request_id())
        # Put back only once it is recorded: nothing may build on an uncertain stream.
        stream, self._stream = self._stream_of(now, provenance), None
        for denial, waiting in taken.items():
            stream.deny(
                denial,
                count=waiting.count,
                first_at=waiting.first_at,
                last_at=waiting.last_at,
                provenance=Provenance(now, waiting.request_id, waiting.traceparent),
            )
        try:
            await self._log.save(stream)
            self._stream = stream
            self._budget -= room
        except LedgerError:
            self._unsettled.add(stream, taken)
            _log.warning("%d causes of refusal wait for PostgreSQL", room + len(self._waiting))

    async def _settle(self) -> bool:
        """Take back what an earlier flush did not record. False where that cannot be told yet."""
        try:
            for lost in await self._unsettled.settle(self._log):
                for denial, waiting in lost.items():
                    self._add(denial, waiting)
        except LedgerError:
            return False
        return True

    def _add(self, key: Denial, more: _Waiting) -> None:
        known = self._waiting.get(key)
        if known is None:
            self._waiting[key] = more
            return
        known.count += more.count
        known.first_at = min(known.first_at, more.first_at)
        if more.last_at >= known.last_at:
            known.last_at = more.last_at
            known.request_id, known.traceparent = more.request_id, more.traceparent

    def _stream_of(self, now: datetime, provenance: Provenance) -> DenialLog:
        hour = now.strftime("%Y-%m-%dT%HZ")
        generation = self._log.generation  # a log that went back may have lost its last events
        if self._stream is None or hour != self._hour or generation != self._generation:
            self._hour, self._generation = hour, generation
            self._stream = DenialLog.start(
                self._ids.stream_id(now), process=self._process, hour=hour, provenance=provenance
            )
        return self._stream

    def _refill(self, now: datetime) -> None:
        elapsed = (now - self._refilled_at).total_seconds()
        self._budget = min(float(BURST), self._budget + max(0.0, elapsed) * PER_SECOND)
        self._refilled_at = now


def _once(provenance: Provenance) -> _Waiting:
    return _Waiting(
        1,
        provenance.occurred_at,
        provenance.occurred_at,
        provenance.request_id,
        provenance.traceparent,
    )
