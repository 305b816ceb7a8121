"""Takes a month out of the log, in this order:

1. One process at a time, and no rebuild or drift check beside it: they read the log from its start.
2. What an earlier attempt left half done is finished first.
3. The plan is made anew under these locks: only what nothing keeps goes on.
4. The month is archived, and the archive is verified against the database, value by value.
5. The event is recorded and committed.
6. The partition is detached CONCURRENTLY: a plain DETACH locks out every reader and writer of the
   log for as long as the longest query runs. It waits for the queries that may still use it.
7. What was written into it since 4 would be in no archive: its rows are counted again, and where
   there are more it is attached again, and refused.
8. The table stays, append-only as before, or is dropped where that was asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

from application.ledger.schema import EVENTS_TABLE, SCHEMA
from projections.export.exporting import Announce
from projections.rebuild import Progress, no_progress
from projections.registry import PROJECTIONS
from projections.retention.archive import Archived, archive
from projections.retention.months import Month, attached_months, months_left
from projections.retention.plan import MonthPlan, plan
from projections.session import maintenance

WAIT_SECONDS = 60
"""How long a detachment waits for the queries that may still use the partition."""

_PARENT = SQL("{}").format(Identifier(SCHEMA, EVENTS_TABLE))
_GUARD = SQL(
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {}"
    " FOR EACH ROW EXECUTE FUNCTION grantledger.refuse_change()"
)

Record = Callable[[MonthPlan, Archived], None]
"""Records that the month leaves; returns once that is committed."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where archives go, whether the database keeps a copy, and who is told of what."""

    out: Path
    issuer: str
    drop: bool
    announce: Announce
    record: Record
    progress: Progress = no_progress


class MonthGrew(Exception):
    """Something was recorded in a month while it was archived; it is attached as before."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A month that left the log."""

    partition: str
    rows: int
    first_position: int
    last_position: int
    directory: str
    manifest_sha256: str
    dropped: bool


@contextmanager
def only_retention(connection: Connection[Any]) -> Iterator[None]:
    """Keep others out (1). Raises MaintenanceRunning."""
    with ExitStack() as held:
        for name in ("the log", *(projection.name for projection in PROJECTIONS)):
            held.enter_context(maintenance(connection, name))
        connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        yield


def detach_due(
    database_url: str,
    connection: Connection[Any],
    way: Way,
    *,
    retention_months: int,
    now: datetime,
) -> list[Detached]:
    """Detach every month that may leave; return them, oldest first.

    Raises MaintenanceRunning, MonthGrew, ArchiveNotWhole, psycopg.Error, and as
    projections.export.exporting.export does; months before the failing one have left.
    """
    done = []
    with only_retention(connection):  # 1
        finish_pending(connection)  # 2
        for planned in plan(connection, retention_months=retention_months, now=now):  # 3
            if not planned.leaves:
                continue
            archived = archive(  # 4
                database_url,
                connection,
                planned.month,
                way.out,
                issuer=way.issuer,
                announce=way.announce,
                progress=way.progress,
            )
            way.record(planned, archived)  # 5
            _detach(connection, planned.month, archived.manifest.rows)
            if way.drop:  # 8
                connection.execute(SQL("DROP TABLE {}").format(planned.month.table))
            done.append(_detached(planned, archived, dropped=way.drop))
    return done


def finish_pending(connection: Connection[Any]) -> None:
    """Finish what was broken off while it waited. Raises MonthGrew and psycopg.Error."""
    for month in attached_months(connection):
        if month.pending:
            connection.execute(
                SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(_PARENT, month.table)
            )
            recorded = [one.rows for one in months_left(connection) if one.month == month_as(month)]
            _settle(connection, month, recorded[0] if recorded else None)


def month_as(month: Month) -> Month:
    """Return the month as its name alone describes it."""
    return Month(month.partition, month.lower, month.upper)


def attach(connection: Connection[Any], month: Month) -> None:
    """Attach the table of a month to the log. Raises psycopg.Error."""
    with connection.transaction():
        # The log's own trigger comes with the attachment, under this name.
        connection.execute(SQL("DROP TRIGGER IF EXISTS append_only ON {}").format(month.table))
        connection.execute(
            SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                _PARENT, month.table, Literal(str(month.lower)), Literal(str(month.upper))
            )
        )


def _detach(connection: Connection[Any], month: Month, rows: int) -> None:
    connection.execute(  # 6
        SQL("ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY").format(_PARENT, month.table)
    )
    _settle(connection, month, rows)


def _settle(connection: Connection[Any], month: Month, rows: int | None) -> None:
    counted = connection.execute(SQL("SELECT count(*) FROM {}").format(month.table)).fetchone()
    if counted != (rows,):  # 7
        attach(connection, month)
        raise MonthGrew(
            f"{month.partition} changed while it was archived; it stays, and may be tried again"
        )
    connection.execute(_GUARD.format(month.table))


def _detached(planned: MonthPlan, archived: Archived, *, dropped: bool) -> Detached:
    return Detached(
        partition=planned.month.partition,
        rows=archived.manifest.rows,
        first_position=archived.manifest.first_position,
        last_position=archived.manifest.last_position,
        directory=str(archived.directory),
        manifest_sha256=archived.manifest_sha256,
        dropped=dropped,
    )
