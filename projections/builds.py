"""Builds: the numbered tables of a projection, the view that shows the live one, and the tracking
row that says which that is and up to which position it is complete.

The tracking row is locked before anything is written, so that even two processes that both take
themselves for the leader, or a rebuild beside the leader, write one after the other and each from
the position the other left.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import Connection
from psycopg.errors import InvalidTableDefinition
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from application.ledger.schema import MIGRATION_LOCK
from projections.continuity import EVENT_MARK, require_of_this_log
from projections.log_reader import Batch
from projections.projection import READ_SCHEMA, Projection, SetAside
from projections.set_aside import forget_build, isolated, mark, stand_in

TABLES_LOCK = MIGRATION_LOCK + 1

# In one order, so that two processes that lock several wait for each other and not in a circle.
_LOCK_TRACKED = (
    "SELECT name, build, position, version FROM grantledger.projections WHERE name = ANY(%s)"
    " ORDER BY name FOR UPDATE"
)
_TRACK = (
    "UPDATE grantledger.projections AS p"  # noqa: S608  # constants
    " SET build = %(build)s, position = %(position)s, updated_at = clock_timestamp(), last_event ="
    f" (SELECT {EVENT_MARK} FROM grantledger.ledger_events AS e"
    " WHERE e.notification_id = %(position)s) WHERE p.name = %(name)s"
)
_ADVANCE = (
    "UPDATE grantledger.projections"
    " SET position = %s, last_event = %s, updated_at = clock_timestamp() WHERE name = ANY(%s)"
)


class NewerProgram(Exception):
    """Another program has made the read model anew in another form; ours does not write into it."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """The live build of a projection and the position up to which it is complete."""

    build: int
    position: int


def ensure_tables(connection: Connection[TupleRow], projections: Iterable[Projection]) -> None:
    """Make what is missing of tracking rows, tables, indexes and views.

    Safe to call at any time and from many processes. Existing builds are left as they are, but for
    those of an older version: their read model begins anew at the start of the log. A newer
    version's are not touched, so that old and new programs beside each other cannot take turns.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (TABLES_LOCK,))
        for projection in projections:
            connection.execute(
                "INSERT INTO grantledger.projections (name, build, version) VALUES (%s, 1, %s)"
                " ON CONFLICT (name) DO NOTHING",
                (projection.name, projection.version),
            )
            tracked = tracked_position(connection, projection)
            if _version(connection, projection) < projection.version:
                begin_anew(connection, projection)
                continue
            # A look before CREATE: even IF NOT EXISTS takes locks that wait for readers.
            known = connection.execute(
                "SELECT to_regclass(%s) IS NOT NULL", (f"{READ_SCHEMA}.{projection.name}",)
            ).fetchone()
            if known != (True,):
                create_build(connection, projection, tracked.build)
                create_indexes(connection, projection, tracked.build)
                show_build(connection, projection, tracked.build)


def _version(connection: Connection[TupleRow], projection: Projection) -> int:
    rows = connection.execute(
        "SELECT version FROM grantledger.projections WHERE name = %s", (projection.name,)
    ).fetchall()
    return int(rows[0][0])


def begin_anew(connection: Connection[TupleRow], projection: Projection) -> None:
    """Show an empty build instead of the live one, in the transaction of the caller."""
    old = lock_tracked(connection, projection).build  # the leader of the old version stops here
    others = other_builds(connection, projection)
    new = max(old, *others, 0) + 1
    create_build(connection, projection, new)
    create_indexes(connection, projection, new)
    show_build(connection, projection, new)
    track(connection, projection, Tracked(new, 0))
    connection.execute(
        "UPDATE grantledger.projections SET version = %s WHERE name = %s",
        (projection.version, projection.name),
    )
    drop_build(connection, projection, old)


def create_build(connection: Connection[TupleRow], projection: Projection, build: int) -> None:
    """Create the table of `build`, empty and without its secondary indexes."""
    create_table(connection, projection, projection.table(build))


def create_table(
    connection: Connection[TupleRow],
    projection: Projection,
    table: Composed,
    *,
    temporary: bool = False,
) -> None:
    """Create an empty table with the columns of the projection."""
    connection.execute(
        SQL("CREATE {temporary} TABLE {table} {columns}").format(
            temporary=SQL("TEMPORARY" if temporary else ""),
            table=table,
            columns=SQL(projection.columns),
        )
    )


def create_indexes(connection: Connection[TupleRow], projection: Projection, build: int) -> None:
    """Create the secondary indexes of `build`."""
    for statement in index_statements(projection, build):
        connection.execute(statement)


def index_statements(projection: Projection, build: int) -> list[Composed]:
    """Return what creates the secondary indexes of `build`, one statement each."""
    return [
        SQL("CREATE INDEX {name} ON {table} {definition}").format(
            name=Identifier(f"{projection.table_name(build)}_{suffix}_idx"),
            table=projection.table(build),
            definition=SQL(definition),
        )
        for suffix, definition in projection.indexes
    ]


def show_build(connection: Connection[TupleRow], projection: Projection, build: int) -> None:
    """Let the view show `build`.

    Replaced rather than dropped wherever its columns allow: an operator's grants on it and views
    over it stay. Raises psycopg.errors.DependentObjectsStillExist where they cannot.
    """
    names = {"view": projection.view, "table": projection.table(build)}
    try:
        with connection.transaction():
            connection.execute(
                SQL("CREATE OR REPLACE VIEW {view} AS SELECT * FROM {table}").format(**names)
            )
    except InvalidTableDefinition:
        connection.execute(SQL("DROP VIEW {view}").format(**names))
        connection.execute(SQL("CREATE VIEW {view} AS SELECT * FROM {table}").format(**names))


def drop_build(connection: Connection[TupleRow], projection: Projection, build: int) -> None:
    """Drop the table of `build`, if it is there, and the marks of what it lacked."""
    connection.execute(SQL("DROP TABLE IF EXISTS {}").format(projection.table(build)))
    forget_build(connection, projection, build)


def other_builds(connection: Connection[TupleRow], projection: Projection) -> list[int]:
    """Return the builds that exist beside the live one: what a broken-off rebuild left."""
    live = tracked_position(connection, projection).build
    rows = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s", (READ_SCHEMA,)
    ).fetchall()
    pattern = re.compile(re.escape(projection.name) + r"_b(\d+)")
    found = [pattern.fullmatch(str(name)) for (name,) in rows]
    return sorted(int(match[1]) for match in found if match and int(match[1]) != live)


def tracked_position(connection: Connection[TupleRow], projection: Projection) -> Tracked:
    """Return the live build and its position. Raises LookupError before ensure_tables ran."""
    row = connection.execute(
        "SELECT build, position FROM grantledger.projections WHERE name = %s", (projection.name,)
    ).fetchone()
    return _tracked(row, projection)


def lock_tracked(connection: Connection[TupleRow], projection: Projection) -> Tracked:
    """Return the same, locked until the transaction ends. Raises LookupError likewise."""
    rows = _locked(connection, [projection])
    return _tracked(rows[0][1:] if rows else None, projection)


def track(connection: Connection[TupleRow], projection: Projection, tracked: Tracked) -> None:
    """Write the tracking row, in the transaction that writes the rows it tells about."""
    given = {"build": tracked.build, "position": tracked.position, "name": projection.name}
    connection.execute(_TRACK, given, prepare=True)


def project(
    connection: Connection[TupleRow],
    projections: Sequence[Projection],
    batch: Batch,
    *,
    isolate: bool = False,
) -> list[int]:
    """Write what each live build lacks of `batch` and return the positions they are complete to.

    All goes into one transaction: rows and position are never apart, and small batches cost half
    of what a transaction for each projection would. Nothing is written where a build is not inside
    the batch, because another process moved it: the caller reads on from the answer. With
    `isolate`, events that a table cannot take are set aside; without it, they raise. Raises
    NewerProgram where a build is of another version than its projection, LookupError before
    ensure_tables ran, ReadModelsDiffer where a build was made from another log, and then nothing of
    any is written.
    """
    with connection.transaction():
        rows = {str(row[0]): row for row in _locked(connection, projections)}
        require_of_this_log(connection, projections)
        positions, behind = [], []
        for projection in projections:
            tracked = _tracked_as(rows.get(projection.name), projection)
            within = batch.after <= tracked.position < batch.last
            positions.append(batch.last if within else tracked.position)
            if within:
                behind.append(projection.name)
                table = projection.table(tracked.build)
                lacking = fill(
                    connection, projection, table, batch, tracked.position, isolate=isolate
                )
                mark(connection, projection, tracked.build, lacking)
        if behind:
            connection.execute(_ADVANCE, (batch.last, batch.mark, behind), prepare=True)
    return positions


def fill(
    connection: Connection[TupleRow],
    projection: Projection,
    table: Composed,
    batch: Batch,
    position: int,
    *,
    isolate: bool = True,
) -> list[SetAside]:
    """Write the rows of the events of `batch` above `position` into `table`, in a transaction.

    Return what cannot be written, for the caller to mark. Without `isolate` only what cannot be
    decoded is returned, and what the table cannot take raises: that spares two statements.
    """
    events = batch.since(position)
    if projection.topics is not None:
        events = [event for event in events if event.topic in projection.topics]
    lacking = [
        one for one in batch.unreadable if one.position > position and projection.handles(one.topic)
    ]
    if isolate:
        lacking = sorted([*lacking, *isolated(connection, projection, table, events)])
    elif events:
        with connection.cursor() as cursor:
            projection.write(cursor, table, events)
    stand_in(connection, projection, table, lacking)
    return lacking


def _locked(connection: Connection[TupleRow], projections: Sequence[Projection]) -> list[TupleRow]:
    names = [projection.name for projection in projections]
    return connection.execute(_LOCK_TRACKED, (names,), prepare=True).fetchall()


def _tracked_as(row: TupleRow | None, projection: Projection) -> Tracked:
    """Return what a locked row says, if it says so of this version."""
    tracked = _tracked(row[1:] if row is not None else None, projection)
    if row is not None and row[3] != projection.version:
        raise NewerProgram(f"{projection.name} is of version {row[3]} by now")
    return tracked


def _tracked(row: TupleRow | None, projection: Projection) -> Tracked:
    if row is None:
        raise LookupError(f"{projection.name} has no tracking row: ensure_tables comes first")
    return Tracked(int(row[0]), int(row[1]))
