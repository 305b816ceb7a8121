"""Uses of clients become events: at most one a minute for a client, with count and last moment."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from application.coalescing import CoalescingRecorder
from domain.client_usage import ClientUsage
from domain.provenance import Provenance


@dataclass(slots=True)
class _Uses:
    last_at: datetime
    by_endpoint: Counter[str] = field(default_factory=Counter)


class UsageRecorder(CoalescingRecorder[str, _Uses, ClientUsage]):
    """Counts how often each client authenticated and where; records it once a minute."""

    def note(self, client_id: str, *, endpoint: str, at: datetime) -> None:
        """Count one successful authentication of `client_id` at `endpoint`."""
        # Every token request passes here: what waits already is counted up in place.
        uses = self._waiting.get(client_id)
        if uses is None:
            uses = self._waiting[client_id] = _Uses(at)
        uses.last_at = at
        uses.by_endpoint[endpoint] += 1

    def _sum(self, one: _Uses, other: _Uses) -> _Uses:
        return _Uses(max(one.last_at, other.last_at), one.by_endpoint + other.by_endpoint)

    def _stream_of(self, kind: str) -> str:
        return kind

    def _start(self, kind: str, day: str, provenance: Provenance) -> ClientUsage:
        return ClientUsage.start(
            self._ids.stream_id(provenance.occurred_at),
            client_id=kind,
            process=self._process,
            day=day,
            provenance=provenance,
        )

    def _record(self, stream: ClientUsage, _: str, count: _Uses, provenance: Provenance) -> None:
        stream.used(
            last_at=count.last_at, by_endpoint=dict(count.by_endpoint), provenance=provenance
        )
