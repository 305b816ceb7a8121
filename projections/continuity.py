"""Whether a read model was made from the log that is there: the tracking row keeps the SHA-256 of
the last event that was written, and the log must have that event at its place.

After a restore of the log alone, or with read models of another server, they may be ahead of the
log, or hold what it lost. They are made anew: which rows are wrong cannot be told. A restore of the
whole database takes them back together with the log, and they go on from there.
"""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from projections.projection import Projection
from projections.retention.months import months_left

EVENT_MARK = "sha256(uuid_send(e.originator_id) || int8send(e.originator_version) || e.state)"
# Asked with every batch: one look for each place, where most read models stand at the same one, and
# for the end of the log only where an event is missing.
_PLACES = (
    "WITH tracked AS MATERIALIZED (SELECT name, version, position, last_event"  # noqa: S608  # constants
    " FROM grantledger.projections WHERE name = ANY(%b)),"
    f" found AS MATERIALIZED (SELECT position, (SELECT {EVENT_MARK}"
    " FROM grantledger.ledger_events AS e WHERE e.notification_id = position) AS mark"
    " FROM (SELECT DISTINCT position FROM tracked) AS places)"
    " SELECT name, version, position, last_event, mark, CASE WHEN mark IS NULL"
    " THEN (SELECT coalesce(max(notification_id), 0) FROM grantledger.ledger_events)"
    " ELSE position END FROM tracked JOIN found USING (position)"
)


class ReadModelsDiffer(Exception):
    """The read models `names` were made from events that the log does not have."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"the log does not have what was read for {', '.join(names)}")
        self.names = frozenset(names)


def require_of_this_log(
    connection: Connection[TupleRow], projections: Sequence[Projection]
) -> dict[str, int]:
    """Return the positions of `projections` by name. Raises ReadModelsDiffer.

    Those of a newer program are its own to look after.
    """
    ours = {projection.name: projection.version for projection in projections}
    rows = connection.execute(_PLACES, (list(ours),), prepare=True).fetchall()
    wrong = [
        str(name)
        for name, version, *place in rows
        if version <= ours[name] and not _at_its_place(connection, *place)
    ]
    if wrong:
        raise ReadModelsDiffer(wrong)
    return {str(name): int(position) for name, _, position, *_ in rows}


def _at_its_place(
    connection: Connection[TupleRow],
    position: int,
    kept: bytes | None,
    mark: bytes | None,
    head: int,
) -> bool:
    if position > head:
        return False
    if position == 0 or kept is None:
        return True
    if mark is not None:
        return bytes(mark) == bytes(kept)
    return any(
        left.first_position <= position <= left.last_position for left in months_left(connection)
    )
