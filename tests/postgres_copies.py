"""Copies of a whole PostgreSQL server: its files put back in place, and a standby that lags."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.postgres import Postgres
from tests.waiting import eventually


@contextmanager
def copied_files(server: Postgres) -> Iterator[Path]:
    """Yield a cold copy of the server's files as they are now; it runs again meanwhile."""
    with TemporaryDirectory(prefix="grantledger-test-") as directory:
        copy = Path(directory) / "pgdata"
        server.stop()
        _copy(server.pgdata, copy)
        server.start()
        yield copy


def put_back(server: Postgres, copy: Path) -> None:
    """Replace the files of a running server by those of `copy`, as a restore in place does."""
    server.stop()
    shutil.rmtree(server.pgdata)
    _copy(copy, server.pgdata)
    server.start()


class Standby:
    """A standby of `primary` on the same machine, which follows it until it is cut off."""

    def __init__(self, primary: Postgres, primary_url: str, directory: Path) -> None:
        self._programs = primary.programs
        self._user = primary.pgdata.stat().st_uid
        self._primary = conninfo_to_dict(primary_url)
        self._pgdata = directory / "pgdata"
        self._socket = directory

    @property
    def url(self) -> str:
        """The URL of the same database here."""
        return f"postgresql://postgres@/{self._primary['dbname']}?host={self._socket}"

    def start(self) -> None:
        """Copy the primary and follow it."""
        source = ("-h", str(self._primary["host"]), "-U", "postgres")
        self._run("pg_basebackup", *source, "-D", str(self._pgdata), "-R", "-c", "fast")
        options = f"-h '' -k {self._socket}"
        log = str(self._pgdata / "log")
        self._run("pg_ctl", "-w", "-o", options, "-l", log, "-D", str(self._pgdata), "start")

    def has(self, position: int) -> bool:
        """Tell whether the log here has come as far as `position`."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT max(notification_id) >= %s FROM grantledger.ledger_events", (position,)
            ).fetchone()
            return row == (True,)

    def cut_off(self) -> None:
        """Stop following: from now on it lags."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
            connection.execute("SELECT pg_reload_conf()")
            receiving = "SELECT count(*) FROM pg_stat_wal_receiver"
            eventually(lambda: connection.execute(receiving).fetchone() == (0,))

    def promote(self) -> None:
        """Become a primary."""
        self._run("pg_ctl", "-w", "-D", str(self._pgdata), "promote")

    def stop(self) -> None:
        """End it."""
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", str(self._pgdata), "stop")

    def _run(self, program: str, *arguments: str) -> None:
        # As the user that the primary runs as: PostgreSQL refuses root.
        user = self._user if os.geteuid() == 0 else None
        subprocess.run(
            [self._programs / program, *arguments],
            user=user,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._socket,
        )


@contextmanager
def standby_of(server: Postgres, database_url: str) -> Iterator[Standby]:
    """Yield a standby of `server` that follows it; stop it at the end."""
    owner = server.pgdata.stat()
    with TemporaryDirectory(prefix="grantledger-test-") as name:
        directory = Path(name)
        os.chown(directory, owner.st_uid, owner.st_gid)
        standby = Standby(server, database_url, directory)
        standby.start()
        try:
            yield standby
        finally:
            standby.stop()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--", source, target], check=True)
