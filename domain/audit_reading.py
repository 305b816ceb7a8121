"""Who read the audit trail, over what and how often (PCI DSS 10.2.1.3).

An event for each read would let whoever follows the log fill it; here at most one event a minute
for a reader, a way and a subject matter carries the count since the last one, and more where the
parameters of its reads do not fit one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.provenance import Provenance
from domain.recorded import Recorded, escaped


@dataclass(frozen=True, slots=True)
class Reading:
    """`by` is the reader; `via` is http, cli or console; `what` is what was read ("events")."""

    by: str
    via: str
    what: str


class AuditReading(Recorded):
    """The reads of the audit trail that one process answered on one day (UTC)."""

    TOPIC = "audit_reading"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        reads: int

    class Event(Recorded.Event):
        """Something about the reads that one process answered."""

    class Started(Event, Recorded.Created):
        """The first read that this process answered on `day` (ISO 8601 date, UTC)."""

        TOPIC = "audit_reading.started"
        process: str
        day: str

        def apply(self, aggregate: "AuditReading") -> None:
            aggregate.reads = 0

    Created = Started  # the inherited name: every event has its topic

    class AuditRead(Event):
        """`by` read `what` `count` times over `via`, from `first_at` to `last_at`.

        `parameters` are the query strings that were asked with, each once and whole; "" beside
        others is a read that nothing narrowed. Where `whole`
        is False, version 1 recorded it: at most ten, and 500 characters of each.
        """

        TOPIC = "audit.read"
        class_version = 2
        by: str
        via: str
        what: str
        parameters: list[str]
        whole: bool
        count: int
        first_at: datetime
        last_at: datetime

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 cut what was long, and left out what was many."""
            state["whole"] = False

        def apply(self, aggregate: "AuditReading") -> None:
            aggregate.reads += self.count

    @classmethod
    def start(
        cls, stream_id: UUID, *, process: str, day: str, provenance: Provenance
    ) -> "AuditReading":
        """Open the stream of this `process` for `day`."""
        return cls._begin(cls.Started, stream_id, provenance, process=process, day=day)

    def read(
        self,
        reading: Reading,
        *,
        parameters: tuple[str, ...],
        count: int,
        first_at: datetime,
        last_at: datetime,
        provenance: Provenance,
    ) -> None:
        """Record `count` reads of the same kind; `parameters` are whole, and the names of who read
        what are recorded escaped.
        """
        self._record(
            self.AuditRead,
            provenance,
            by=escaped(reading.by),
            via=reading.via,
            what=escaped(reading.what),
            parameters=list(parameters),
            whole=True,
            count=count,
            first_at=first_at,
            last_at=last_at,
        )
