"""Put a backup into an empty database, whole or not at all.

1. The hashes of its files and the versions fit: nothing is read by PostgreSQL before.
2. The database is not older than the one that was dumped.
3. The database is empty: no schema of ours, and no table of anybody.
4. pg_restore works in one transaction.
5. Positions that the dump's sequence was ahead of the snapshot are taken back, then the schema is
   brought up to this version.
"""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

from api.backup.errors import BackupRefused
from api.backup.manifest import DUMP, Manifest
from api.backup.postgresql_programs import run, tool
from application.ledger.schema import migrate
from projections.session import open_session

_OCCUPIED = (
    "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname IN ('grantledger', 'read'))"
    " + (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"
    " AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%')"
)
_RESTORE = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")


def put_back(url: str, directory: Path, found: Manifest, *, now: datetime) -> None:
    """Restore the backup in `directory`, whose manifest (1) `found` is, into the database `url`.

    Raises BackupRefused and psycopg.Error; the database is empty then as before.
    """
    with closing(open_session(url, name="restore")) as connection:
        server = connection.info.server_version // 10_000
        if server < found.postgresql:  # 2
            raise BackupRefused(
                f"the backup is of PostgreSQL {found.postgresql}, the database is {server}:"
                f" restore into {found.postgresql} or newer"
            )
        _require_empty(connection)  # 3
        program = tool("pg_restore", at_least=max(server, found.pg_dump))
        run(program, [*_RESTORE, str(directory / DUMP)], url=url)  # 4
        connection.execute("SELECT grantledger.close_position_hole()")  # 5
        migrate(connection, now=now)
        connection.execute("ANALYZE")


def _require_empty(connection: Connection[Any]) -> None:
    (count,) = connection.execute(_OCCUPIED).fetchall()[0]
    if count:
        raise BackupRefused(
            "the database is not empty: a backup is restored into an empty one only; make one"
            " (CREATE DATABASE), or choose another --data-dir"
        )
