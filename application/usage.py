"""Uses of clients become events: at most one a minute for a client, with count and last moment."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from application.ledger.errors import LedgerError
from application.ports import Clock, EventLog, Ids
from application.unsettled import Unsettled
from domain.client_usage import ClientUsage
from domain.provenance import Provenance

FLUSH_SECONDS = 60.0


@dataclass(slots=True)
class _Uses:
    last_at: datetime
    by_endpoint: Counter[str] = field(default_factory=Counter)


class UsageRecorder:
    """Counts how often each client authenticated and where; records it once a minute."""

    def __init__(self, *, log: EventLog, clock: Clock, ids: Ids, process: str) -> None:
        self._log = log
        self._clock = clock
        self._ids = ids
        self._process = process
        self._waiting: dict[str, _Uses] = {}
        self._unsettled: Unsettled[tuple[str, _Uses]] = Unsettled()
        self._streams: dict[str, ClientUsage] = {}
        self._day = ""

    def note(self, client_id: str, *, endpoint: str, at: datetime) -> None:
        """Count one successful authentication of `client_id` at `endpoint`."""
        uses = self._waiting.get(client_id)
        if uses is None:
            uses = self._waiting[client_id] = _Uses(at)
        uses.last_at = at
        uses.by_endpoint[endpoint] += 1

    async def flush(self) -> None:
        """Record what was counted since the last flush; what cannot be recorded waits on."""
        try:
            for client_id, uses in await self._unsettled.settle(self._log):
                self._wait_on(client_id, uses)
        except LedgerError:
            return
        now = self._clock.now()
        self._new_day(now)
        for client_id in list(self._waiting):
            # Taken one by one, and each stream put back only once it is recorded: whoever cancels
            # a flush, at shutdown, loses none of the others and continues no uncertain stream.
            uses = self._waiting.pop(client_id)
            provenance = Provenance(now, self._ids.request_id())
            stream = self._streams.pop(client_id, None) or ClientUsage.start(
                self._ids.stream_id(now),
                client_id=client_id,
                process=self._process,
                day=self._day,
                provenance=provenance,
            )
            stream.used(
                last_at=uses.last_at, by_endpoint=dict(uses.by_endpoint), provenance=provenance
            )
            try:
                await self._log.save(stream)
                self._streams[client_id] = stream
            except LedgerError:
                self._unsettled.add(stream, (client_id, uses))

    def _new_day(self, now: datetime) -> None:
        day = now.strftime("%Y-%m-%d")
        if day != self._day:
            self._day = day
            self._streams.clear()

    def _wait_on(self, client_id: str, uses: _Uses) -> None:
        newer = self._waiting.get(client_id)
        if newer is None:
            self._waiting[client_id] = uses
        else:
            newer.by_endpoint.update(uses.by_endpoint)
            newer.last_at = max(newer.last_at, uses.last_at)
