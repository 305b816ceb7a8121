"""PostgreSQL that dies, has no room, is full, or is busy with something else."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg

from tests.faults.fault import NotHere, fault, unnoticed_fault
from tests.faults.stage import Stage
from tests.waiting import eventually

_OURS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name <> 'foreign'"
)
_TERMINATE = f"SELECT pg_terminate_backend(pid) FROM ({_OURS}) AS ours"
_SEGMENT_BYTES = 16 * 1024 * 1024


@fault
async def backends_killed(stage: Stage) -> None:
    """SIGKILL of PostgreSQL backends of ours, which makes it recover from a crash."""
    for number in range(3):
        await asyncio.to_thread(eventually, lambda: bool(_backends(stage.url)), seconds=20)
        backends = _backends(stage.url)
        with suppress(ProcessLookupError):
            os.kill(backends[number % len(backends)], signal.SIGKILL)
        await asyncio.sleep(1.5)
    stage.ends()


@fault
async def connections_terminated(stage: Stage) -> None:
    """Every connection of ours is ended by an administrator of PostgreSQL, five times."""
    for _ in range(5):
        _terminate(stage.url)
        await asyncio.sleep(0.7)
    stage.ends()


@fault
async def server_killed(stage: Stage) -> None:
    """SIGKILL of all of PostgreSQL, twice, and a start each time."""
    for _ in range(2):
        await asyncio.to_thread(stage.postgres.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(stage.postgres.start)
        await asyncio.sleep(1)
    stage.ends()


@fault
async def disk_full(stage: Stage) -> None:
    """The disk of the write-ahead log is full until somebody makes room."""
    with ExitStack() as stack:
        room = await asyncio.to_thread(stack.enter_context, _small_wal(stage))
        await asyncio.sleep(1)
        filler = room / "filler"
        await asyncio.to_thread(_fill, stage.url, filler)
        await asyncio.sleep(stage.seconds)
        assert stage.crowd.books.answers["503"], "a full disk was noticed by nobody"
        filler.unlink()
        await asyncio.to_thread(_started, stage)
        await asyncio.sleep(1)
        # Its way back to where the other faults find it is another stop and start.
        await asyncio.to_thread(stack.close)
    stage.ends()


@fault
async def connections_exhausted(stage: Stage) -> None:
    """Others hold every connection that PostgreSQL has, and ours were just lost."""
    await asyncio.to_thread(_hold_all, stage.url, stage.seconds)
    assert stage.crowd.books.answers["503"], "that there was no connection mattered to nobody"
    stage.ends()


@unnoticed_fault
async def long_transactions(stage: Stage) -> None:
    """Foreign transactions stay open for the whole time, beside VACUUM, ANALYZE and checkpoints."""
    with ExitStack() as foreign:
        reading = foreign.enter_context(psycopg.connect(stage.url, application_name="foreign"))
        reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reading.execute("SELECT count(*) FROM grantledger.ledger_events")
        writing = foreign.enter_context(psycopg.connect(stage.url, application_name="foreign"))
        # What takes a transaction id and keeps it holds back every horizon of visibility.
        writing.execute("CREATE TEMPORARY TABLE foreign_work AS SELECT pg_current_xact_id()")
        before = len(stage.follower.positions)
        await asyncio.to_thread(_maintain, stage.url)
        await asyncio.sleep(stage.seconds)
        assert len(stage.follower.positions) > before, "nothing became visible meanwhile"
    stage.ends()


def _backends(url: str) -> list[int]:
    try:
        with _foreign(url) as connection:
            return [pid for (pid,) in connection.execute(_OURS)]
    except psycopg.OperationalError:
        return []


def _terminate(url: str) -> None:
    with _foreign(url) as connection:
        connection.execute(_TERMINATE)


def _hold_all(url: str, seconds: float) -> None:
    """Take what there is, end our own connections, and take those as well, for so long."""
    until = monotonic() + seconds
    with ExitStack() as stack:
        first = stack.enter_context(_foreign(url))
        while monotonic() < until:
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(_foreign(url))
            first.execute(_TERMINATE)


def _foreign(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, application_name="foreign", autocommit=True, connect_timeout=5)


def _maintain(url: str) -> None:
    with _foreign(url) as connection:
        for _ in range(3):
            for statement in (
                "VACUUM grantledger.ledger_events",
                "ANALYZE grantledger.ledger_events",
                "VACUUM read.audit_trail",
                "CHECKPOINT",
            ):
                connection.execute(statement)


@contextmanager
def _small_wal(stage: Stage) -> Iterator[Path]:
    """Have the write-ahead log on a disk with little room, and yield where that is mounted."""
    wal = stage.postgres.pgdata / "pg_wal"
    aside = wal.with_name("pg_wal.aside")
    stage.postgres.stop()
    shutil.copytree(wal, aside)
    used = sum(path.stat().st_size for path in aside.rglob("*") if path.is_file())
    options = f"size={used + 4 * _SEGMENT_BYTES}"
    disk = ["mount", "-t", "tmpfs", "-o", options, "grantledger-faults", str(wal)]
    mounted = subprocess.run(disk, check=False, capture_output=True, text=True)
    try:
        if mounted.returncode:
            raise NotHere(f"no small disk can be mounted: {mounted.stderr.strip()}")
        try:
            _put(aside, wal)
            stage.postgres.start()
            yield wal
            stage.postgres.stop()
            shutil.rmtree(aside)
            shutil.copytree(wal, aside)
        finally:
            subprocess.run(["umount", "--lazy", str(wal)], check=True)
        _put(aside, wal)
    finally:
        shutil.rmtree(aside)
        stage.postgres.start()


def _put(segments: Path, wal: Path) -> None:
    """Let `wal` hold what `segments` does, as the server's own."""
    for path in wal.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(segments, wal, dirs_exist_ok=True)
    owner = wal.parent.stat()
    for path in (wal, *wal.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    wal.chmod(0o700)


def _fill(url: str, filler: Path) -> None:
    """Leave no room, and have the log want a new segment until it is refused one."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 65_536)
    with suppress(psycopg.Error):
        for _ in range(200):
            with _foreign(url) as connection:
                connection.execute("SELECT pg_logical_emit_message(false, 'fill', 'x')")
                connection.execute("SELECT pg_switch_wal()")


def _started(stage: Stage) -> None:
    """Start PostgreSQL as an operator does who made room; it may still be giving up by itself."""

    def answers() -> bool:
        with suppress(Exception):
            stage.postgres.start()
            _foreign(stage.url).close()
            return True
        return False

    eventually(answers, seconds=30)
