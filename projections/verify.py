"""The drift check: is the read model what the log says it should be?

One snapshot (REPEATABLE READ) sees the live build at exactly the position its tracking row gives,
and the log up to there. The log is replayed into a temporary table, and both are compared row by
row; the leader is not held up. Nothing remains afterwards.

An event that the replay cannot take is set aside there as it is in the read model: both lack it, or
both have the row that stands in for it. Where only one of them could take it, that is drift.

Where months of the log are detached, what the read model holds of them would show as unexpected:
that is refused unless it is asked for.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from application.ledger.mapper import LedgerMapper
from projections.builds import create_table, ensure_tables, fill, tracked_position
from projections.collector import seldom_collecting
from projections.log_reader import BATCH_EVENTS, LogReader
from projections.projection import Projection
from projections.rebuild import Progress, no_progress
from projections.retention.months import require_whole_log
from projections.session import maintenance, open_session

EXAMPLES = 10

_COMPARE = SQL(
    "CREATE TEMPORARY TABLE drift AS"
    " SELECT CASE WHEN live.{first} IS NULL THEN 'missing'"
    " WHEN replayed.{first} IS NULL THEN 'unexpected' ELSE 'differing' END AS kind,"
    " concat_ws(' ', {key}) AS key"
    " FROM {live} AS live FULL JOIN {replayed} AS replayed USING ({key})"
    # Both ways at once, and unlike EXCEPT it tells a changed row from a missing one.
    " WHERE ROW(live.*) IS DISTINCT FROM ROW(replayed.*)"
)
_COUNT = (
    "SELECT count(*) FILTER (WHERE kind = 'missing'), count(*) FILTER (WHERE kind = 'unexpected'),"
    " count(*) FILTER (WHERE kind = 'differing') FROM drift"
)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What a drift check found at `position`.

    `missing` rows are in the replay only, `unexpected` in the read model only, `differing` in both
    with different contents. `examples` names up to EXAMPLES of them, "kind: key".
    """

    projection: str
    build: int
    position: int
    missing: int
    unexpected: int
    differing: int
    examples: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether the read model is exactly what the log says."""
        return self.missing == self.unexpected == self.differing == 0


def verify(
    database_url: str,
    projection: Projection,
    *,
    progress: Progress = no_progress,
    batch_events: int = BATCH_EVENTS,
    without_detached: bool = False,
) -> DriftReport:
    """Replay the log up to the live position and compare.

    Raises MonthsDetached unless `without_detached`, MaintenanceRunning and psycopg.Error.
    MaintenanceRunning, because a rebuild would drop the table that is being compared.
    """
    with (
        seldom_collecting(),
        closing(open_session(database_url, name=f"verify {projection.name}")) as connection,
        maintenance(connection, projection.name),
    ):
        if not without_detached:
            require_whole_log(connection)
        ensure_tables(connection, [projection])
        reader = LogReader(LedgerMapper(), topics=projection.topics, limit=batch_events)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with connection.transaction(force_rollback=True):
            live = tracked_position(connection, projection)
            scratch = SQL("{}").format(Identifier("pg_temp", "replayed"))
            create_table(connection, projection, scratch, temporary=True)
            _replay(connection, projection, scratch, reader, live.position, progress)
            counts, examples = _compare(connection, projection, live.build, scratch)
    return DriftReport(projection.name, live.build, live.position, *counts, tuple(examples))


def _replay(
    connection: Connection[TupleRow],
    projection: Projection,
    scratch: Composed,
    reader: LogReader,
    target: int,
    progress: Progress,
) -> None:
    position = 0
    while position < target:
        batch = reader.read(connection, after=position, up_to=target)
        if batch.last == position:  # the log ends before what the read model claims
            return
        fill(connection, projection, scratch, batch, position)
        position = batch.last
        progress(position, target)


def _compare(
    connection: Connection[TupleRow], projection: Projection, build: int, scratch: Composed
) -> tuple[tuple[int, int, int], Sequence[str]]:
    connection.execute(SQL("ANALYZE {}").format(scratch))
    connection.execute(
        _COMPARE.format(
            first=Identifier(projection.key[0]),
            key=SQL(", ").join(Identifier(column) for column in projection.key),
            live=projection.table(build),
            replayed=scratch,
        )
    )
    missing, unexpected, differing = connection.execute(_COUNT).fetchall()[0]
    examples = connection.execute(
        "SELECT kind, key FROM drift ORDER BY kind, key LIMIT %s", (EXAMPLES,)
    )
    return (missing, unexpected, differing), [f"{kind}: {key}" for kind, key in examples]
