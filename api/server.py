"""`grantledger serve`: database, schema, first run, API workers and projections, in that order.

The parent prepares and supervises; it answers no request. Ctrl-C or SIGTERM stops the workers
(each answers what it has), then the projections, then the embedded database.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from api.composition import Service
from api.embedded_postgres import embedded_postgres
from api.first_run import prepare
from application.ledger.schema import migrate
from application.settings import Settings, SettingsError

_log = logging.getLogger(__name__)
_STOP_SECONDS = 15
_READY_SECONDS = 60.0


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Yield the URL of a migrated database: the configured one, or the embedded one, started.

    Raises SettingsError where the configured one cannot be reached, RuntimeError where the embedded
    one does not start.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        try:
            _migrate(url)
        except psycopg.OperationalError as error:
            reason = str(error).strip().split("\n")[0]
            raise SettingsError(f"DATABASE_URL: cannot connect: {reason}") from None
        yield url
        return
    with embedded_postgres(settings.data_dir) as url:
        _migrate(url)
        yield url


def serve(settings: Settings, *, announce: Callable[[bool], None]) -> None:
    """Run the service until it is told to stop.

    `announce` is called once requests are answered, with whether this was the first run. Raises
    SettingsError and RuntimeError as `database` does, and SettingsError for a port in use.
    """
    _require_free_port(settings)
    with database(settings) as url:
        first = asyncio.run(_prepare(settings, url))
        _export(settings, url)
        with tempfile.TemporaryDirectory(prefix="grantledger-metrics-") as shared:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
            with _projections():
                _announce_when_ready(settings, lambda: announce(first))
                _run_workers(settings)


def _migrate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for name in migrate(connection, now=datetime.now(UTC)):
            _log.info("applied migration: %s", name)


async def _prepare(settings: Settings, url: str) -> bool:
    async with Service(settings, url) as service:
        return await prepare(service, by="system")


def _export(settings: Settings, url: str) -> None:
    """Put the effective settings where the workers read theirs."""
    for name, value in settings.model_dump(
        exclude={"database_url", "peppers", "master_keys"}
    ).items():
        if value is None:
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        os.environ[f"GRANTLEDGER_{name.upper()}"] = text
    os.environ["GRANTLEDGER_DATABASE_URL"] = url


def _run_workers(settings: Settings) -> None:
    Server(
        "api.worker:application",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=128 * 1024),
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=_STOP_SECONDS,
    ).serve()


@contextmanager
def _projections() -> Iterator[None]:
    """Keep one process that builds the read models; start it again when it dies."""
    stopping = threading.Event()
    command = [sys.executable, "-m", "api.cli", "projections", "run"]
    processes = [_detached(command)]

    def watch() -> None:
        while not stopping.wait(0.5):
            if processes[0].poll() is not None:
                _log.error("the projections stopped; starting them again")
                processes[0] = _detached(command)

    watcher = threading.Thread(target=watch, name="projections", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopping.set()
        watcher.join()
        processes[0].terminate()
        try:
            processes[0].wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            processes[0].kill()


def _detached(command: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal must reach it after the workers, through us.
    return subprocess.Popen(command, start_new_session=True)  # noqa: S603  # our own interpreter


def _announce_when_ready(settings: Settings, announce: Callable[[], None]) -> None:
    def wait() -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if answers(settings):
                announce()
                return
            time.sleep(0.05)
        _log.error("no worker answers after %d s", _READY_SECONDS)

    threading.Thread(target=wait, name="announce", daemon=True).start()


def answers(settings: Settings) -> bool:
    """Tell whether something accepts connections on the configured address and port."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  # compared, not bound
    try:
        with socket.create_connection((host, settings.port), timeout=1) as connection:
            connection.sendall(
                b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def _require_free_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"GRANTLEDGER_PORT: cannot listen on {settings.host}:{settings.port}: "
                f"{error.strerror}; choose another with --port"
            ) from None
