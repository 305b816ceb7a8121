"""Connections of the projections, and the locks by which their processes keep out of each
other's way.

Both locks are held by the session: they fall with the connection, whatever its process dies of.
A pooler between us and PostgreSQL must therefore pool sessions, not transactions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from application.connection_pool import SILENCE

LOCK_SECONDS = 2

_SESSION = (
    # Rows and position are lost together and replayed: a flush a batch would only take the disk
    # from the writer of the log, whose own commits stay synchronous.
    "SET synchronous_commit = off;"
    # Moments pass through as text.
    "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD';"
    f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = 0;"
    # The leader's locks must fall soon after its machine is gone from the network.
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;"
    # Plans are small and repeat ten times a second.
    "SET jit = off"
)


# A backup holds its snapshot while pg_dump works, a leader its locks while nothing happens. Not
# every version has all of them.
_NEVER_TOO_IDLE = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout',"
    " 'idle_in_transaction_session_timeout', 'transaction_timeout')"
)


class MaintenanceRunning(Exception):
    """Another process rebuilds or verifies this projection."""


def open_session(database_url: str, *, name: str) -> Connection[TupleRow]:
    """Return an autocommit connection that shows as `grantledger <name>` in pg_stat_activity.

    Raises psycopg.OperationalError where PostgreSQL cannot be reached.
    """
    connection = psycopg.connect(
        database_url,
        autocommit=True,
        application_name=f"grantledger {name}",
        **SILENCE,  # type: ignore[arg-type]  # parameters of libpq, which are no arguments of its
    )
    try:
        connection.execute(_SESSION)
        connection.execute(_NEVER_TOO_IDLE)
    except BaseException:
        connection.close()
        raise
    return connection


def take_leadership(connection: Connection[TupleRow], name: str) -> bool:
    """Try to become the one process that writes the projection `name`."""
    return _try_lock(connection, f"grantledger leader of {name}")


@contextmanager
def maintenance(connection: Connection[TupleRow], name: str) -> Iterator[None]:
    """Keep other rebuilds and drift checks of `name` away. Raises MaintenanceRunning."""
    key = f"grantledger maintenance of {name}"
    if not _try_lock(connection, key):
        raise MaintenanceRunning(f"{name} is being rebuilt or verified by another process")
    try:
        yield
    finally:
        if not connection.closed:  # else the lock is gone with the session
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def _try_lock(connection: Connection[TupleRow], key: str) -> bool:
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)
    ).fetchone()
    return row == (True,)
