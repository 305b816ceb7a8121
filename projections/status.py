"""How far each projection is behind the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.sql import SQL

from projections.projection import Projection
from projections.query import Query
from projections.registry import PROJECTIONS

_STATUS = SQL(
    "SELECT wanted.name AS projection, coalesce(tracked.build, 0) AS build,"
    " coalesce(tracked.position, 0) AS position, log.head,"
    # Both moments are of the database's clock.
    " greatest(extract(epoch FROM clock_timestamp() - oldest.recorded_at), 0)::float8"
    " AS lag_seconds,"
    " (SELECT count(*) FROM grantledger.set_aside_events AS aside"
    " WHERE aside.projection = wanted.name AND aside.build = tracked.build) AS set_aside"
    " FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, place)"
    " CROSS JOIN (SELECT coalesce(max(notification_id), 0) AS head"
    " FROM grantledger.ledger_events) AS log"
    " LEFT JOIN grantledger.projections AS tracked ON tracked.name = wanted.name"
    " LEFT JOIN LATERAL (SELECT recorded_at FROM grantledger.ledger_events"
    " WHERE notification_id > coalesce(tracked.position, 0)"
    " ORDER BY notification_id LIMIT 1) AS oldest ON true"
    " ORDER BY wanted.place"
)


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """Where a projection stands.

    `build` is 0 before its first table was made. `lag_seconds` is the age of the oldest event it
    lacks, 0 when it lacks none. `set_aside` events are behind it that it cannot take.
    """

    projection: str
    build: int
    position: int
    head: int
    lag_seconds: float
    set_aside: int = 0

    @property
    def lag_events(self) -> int:
        """How many events it lacks."""
        return max(0, self.head - self.position)


def projection_status(
    projections: Sequence[Projection] = PROJECTIONS,
) -> Query[ProjectionStatus]:
    """Ask for the status of `projections`, in their order."""
    names = [projection.name for projection in projections]
    return Query(_STATUS, {"names": names}, _status)


def _status(
    *,
    projection: str,
    build: int,
    position: int,
    head: int,
    lag_seconds: float | None,
    set_aside: int,
) -> ProjectionStatus:
    return ProjectionStatus(projection, build, position, head, lag_seconds or 0.0, set_aside)
