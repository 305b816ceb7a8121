"""Puts an archived month back into the log, in this order:

1. The log says that the month left, and by which hash: another archive is refused.
2. Every file is read and has its hash.
3. The rows go into a table of their own, unless the database kept it; what it holds then is
   compared with the archive, value by value.
4. The event is recorded and committed.
5. The table is attached; PostgreSQL checks that each id belongs to the month.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from application.ledger.schema import EVENTS_TABLE, SCHEMA
from projections.retention.archive import (
    Archived,
    ArchiveNotWhole,
    compare,
    read_archive,
    read_rows,
    verify_archive,
)
from projections.retention.detaching import attach, finish_pending, only_retention
from projections.retention.months import Month, months_left

_COPY = SQL(
    "COPY {} (originator_id, originator_version, topic, state, notification_id, recorded_at)"
    " FROM STDIN (FORMAT binary)"
)
_TYPES = ("uuid", "int8", "text", "bytea", "int8", "timestamptz")

Record = Callable[[Archived], None]
"""Records that the month comes back; returns once that is committed."""


class NothingToRestore(Exception):
    """The log does not lack this month, or not as this archive; the message is one line."""


def restore(
    database_url: str, connection: Connection[Any], directory: Path, *, record: Record
) -> Archived:
    """Put the month that is archived in `directory` back.

    Raises NothingToRestore, ArchiveNotWhole, UnusableManifest, MaintenanceRunning, OSError and
    psycopg.Error.
    """
    month, archived = read_archive(directory)
    with only_retention(connection):
        finish_pending(connection)
        _require_left(connection, month, archived)  # 1
        verify_archive(archived)  # 2
        if not _kept(connection, month):  # 3
            _load(connection, month, archived)
        compare(database_url, month, archived)
        _require_no_more(connection, month, archived)
        record(archived)  # 4
        attach(connection, month)  # 5
    return archived


def _require_left(connection: Connection[Any], month: Month, archived: Archived) -> None:
    left = {one.month.partition: one for one in months_left(connection)}.get(month.partition)
    if left is None:
        raise NothingToRestore(f"{month.partition} has not left the log")
    if left.manifest_sha256 != archived.manifest_sha256:
        raise NothingToRestore(
            f"{archived.directory}: its manifest has the SHA-256 {archived.manifest_sha256}, the"
            f" log recorded {left.manifest_sha256}"
        )


def _kept(connection: Connection[Any], month: Month) -> bool:
    found = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.{month.partition}",)
    ).fetchone()
    return found == (True,)


def _load(connection: Connection[Any], month: Month, archived: Archived) -> None:
    with connection.transaction():
        connection.execute(
            # With its indexes: made while it is attached, they would hold up the log's schema.
            SQL("CREATE TABLE {} (LIKE {} INCLUDING INDEXES)").format(
                month.table, Identifier(SCHEMA, EVENTS_TABLE)
            )
        )
        connection.execute(
            SQL(
                "CREATE TRIGGER never_truncated BEFORE TRUNCATE ON {}"
                " FOR EACH STATEMENT EXECUTE FUNCTION grantledger.refuse_change()"
            ).format(month.table)
        )
        with connection.cursor() as cursor, cursor.copy(_COPY.format(month.table)) as copy:
            copy.set_types(_TYPES)
            for file in archived.manifest.files:
                columns = read_rows(archived, file).to_pydict().values()
                for originator_id, *row in zip(*columns, strict=True):
                    copy.write_row((UUID(originator_id), *row))


def _require_no_more(connection: Connection[Any], month: Month, archived: Archived) -> None:
    counted = connection.execute(SQL("SELECT count(*) FROM {}").format(month.table)).fetchone()
    if counted != (archived.manifest.rows,):
        raise ArchiveNotWhole(f"{month.partition} holds other rows than the archive")
