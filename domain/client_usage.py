"""How much a client was used by one process on one day, beyond the tokens it was issued.

Per-use events on the client's own stream would make it hot; here at most one event a minute
carries the counts since the last one.
"""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.provenance import Provenance
from domain.recorded import Recorded


class ClientUsage(Recorded):
    """The uses of one client, seen by one process on one day (UTC)."""

    TOPIC = "client_usage"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        client_id: str
        uses: int

    class Event(Recorded.Event):
        """Something about the use of `client_id`."""

        client_id: str

    class Started(Event, Recorded.Created):
        """The first use by this process on `day` (ISO 8601 date, UTC)."""

        TOPIC = "client_usage.started"
        process: str
        day: str

        def apply(self, aggregate: "ClientUsage") -> None:
            aggregate.client_id = self.client_id
            aggregate.uses = 0

    Created = Started  # the inherited name: every event has its topic

    class ClientUsed(Event):
        """The client authenticated `count` times since the last event, at last at `last_at`.

        `by_endpoint` splits the count by endpoint ("token", "introspect", "revoke").
        """

        TOPIC = "client.used"
        count: int
        last_at: datetime
        by_endpoint: dict[str, int]

        def apply(self, aggregate: "ClientUsage") -> None:
            aggregate.uses += self.count

    @classmethod
    def start(
        cls, stream_id: UUID, *, client_id: str, process: str, day: str, provenance: Provenance
    ) -> "ClientUsage":
        """Open the stream of `client_id` for this `process` and `day`."""
        return cls._begin(
            cls.Started, stream_id, provenance, client_id=client_id, process=process, day=day
        )

    def used(
        self, *, last_at: datetime, by_endpoint: dict[str, int], provenance: Provenance
    ) -> None:
        """Record the uses counted since the last event."""
        self._record(
            self.ClientUsed,
            provenance,
            client_id=self.client_id,
            count=sum(by_endpoint.values()),
            last_at=last_at,
            by_endpoint=by_endpoint,
        )
