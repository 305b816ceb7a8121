"""`grantledger serve`: database, schema, first run, API workers and projections, in that order.

The parent prepares and supervises; it answers no request. Ctrl-C or SIGTERM stops the workers
(each answers what it has), then the projections, then the embedded database. SIGHUP replaces the
workers one after the other.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server
from granian.server.common import AbstractServer
from pydantic import SecretStr

from api.composition import Service
from api.embedded_postgres import embedded_postgres
from api.first_run import prepare, prepare_console
from api.tracing import require_traces
from application.ledger.errors import LedgerUnavailable
from application.ledger.schema import migrate
from application.settings import Settings, SettingsError

_log = logging.getLogger(__name__)
_STOP_SECONDS = 15
_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_REPLACED_SECONDS = 4.0
"""After SIGHUP: how long a new worker has before the old one stops. The other workers answer."""
_READY_SECONDS = 60.0
_CONNECT_SECONDS = 5


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Yield the URL of a migrated database: the configured one, or the embedded one, started.

    Raises LedgerUnavailable where it cannot be reached or does not start, SettingsError for a URL
    that is none and for a database that a newer version migrated.
    """
    with connectable(settings) as url:
        _migrate(url)
        yield url


@contextmanager
def connectable(settings: Settings) -> Iterator[str]:
    """Yield the same URL without touching the schema. Raises as `database` does."""
    if settings.database_url is not None:
        yield _configured(settings.database_url.get_secret_value())
        return
    with ExitStack() as running:
        try:
            url = running.enter_context(embedded_postgres(settings.data_dir))
        except RuntimeError as error:
            raise LedgerUnavailable(str(error)) from error
        yield url


def serve(
    settings: Settings,
    *,
    announce: Callable[[bool], None],
    target: str = "api.worker:application",
) -> None:
    """Run the service until it is told to stop.

    `announce` is called once requests are answered, with whether this was the first run. `target`
    names the factory of the workers' application. Raises as `database` does, and SettingsError for
    a port in use.
    """
    _require_free_ports(settings)
    require_traces(os.environ)
    if settings.mtls_port is not None:
        # The whole application, which this process needs for nothing else.
        from api.mtls_listener import listener  # noqa: PLC0415

        listener(settings)  # not started: it says now what it would say for ever
    with database(settings) as url:
        first = asyncio.run(_prepare(settings, url))
        _export(settings, url)
        processes = settings.workers + (settings.mtls_port is not None)
        with _shared_metrics(processes), _projections(), _mtls_listener(settings):
            answered = _announce_when_ready(settings, lambda: announce(first))
            _run_workers(settings, target, answered)


@contextmanager
def _shared_metrics(processes: int) -> Iterator[None]:
    """Let several processes answer /metrics for all; one alone keeps its numbers in memory."""
    if processes == 1:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        yield
        return
    with tempfile.TemporaryDirectory(prefix="grantledger-metrics-") as shared:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        yield


def _configured(url: str) -> str:
    try:
        psycopg.connect(url, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.ProgrammingError:
        # Not its own words: they may repeat a password that stands in the wrong place.
        raise SettingsError("DATABASE_URL: is not a PostgreSQL URL") from None
    except psycopg.OperationalError as error:
        reason = str(error).strip().split("\n")[0]
        raise LedgerUnavailable(f"DATABASE_URL: cannot connect: {reason}") from None
    return url


def _migrate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            applied = migrate(connection, now=datetime.now(UTC))
        except RuntimeError as error:
            raise SettingsError(f"DATABASE_URL: {error}") from None
    for name in applied:
        _log.info("applied migration: %s", name)


async def _prepare(settings: Settings, url: str) -> bool:
    async with Service(settings, url) as service:
        first = await prepare(service, by="system")
        await prepare_console(service, by="system")
        return first


def _export(settings: Settings, url: str) -> None:
    """Put the effective settings where the workers read theirs."""
    for name, value in settings.model_dump().items():
        # Secrets are in the environment already, and as text they would be asterisks.
        if value is None or isinstance(value, SecretStr):
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        os.environ[f"GRANTLEDGER_{name.upper()}"] = text
    os.environ["GRANTLEDGER_DATABASE_URL"] = url


def _run_workers(settings: Settings, target: str, answered: threading.Event) -> None:
    """Serve until told to stop; `answered` says that requests were answered at least once."""
    # Not fork: this process has threads and has read its metrics' environment already; a worker
    # must start without the locks of the one and with an eye for the other.
    multiprocessing.set_start_method("spawn", force=True)
    while True:
        server = _server(settings, target)
        try:
            server.serve()
            return
        except SystemExit:
            # The server ends where a worker dies twice within seconds. What it died of may pass;
            # only where nothing ever worked is there nothing to come back to.
            if _told_to_stop(server) or not answered.is_set():
                raise
        _log.error("workers died again and again; starting them anew")
        # Signals still go to the server that ended, and nobody would look at them: until the next
        # one takes them, they end this process as any other.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop_at_once)
        if _told_to_stop(server):
            return
        time.sleep(_AGAIN_SECONDS)


def _told_to_stop(server: AbstractServer[Any]) -> bool:
    return bool(server.interrupt_signal)


def _stop_at_once(*_: object) -> None:
    raise SystemExit(0)


def _server(settings: Settings, target: str) -> AbstractServer[Any]:
    return Server(
        target,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        runtime_mode=RuntimeModes.mt,  # 10% more tokens a second than st on two cores
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=128 * 1024),
        websockets=False,
        log_level=LogLevels.warning,
        # Its lines, tracebacks among them, go the way of ours: as JSON, without secrets.
        log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
        respawn_failed_workers=True,
        respawn_interval=_REPLACED_SECONDS,
        workers_kill_timeout=_STOP_SECONDS,
    )


@contextmanager
def _projections() -> Iterator[None]:
    """Keep one process that builds the read models."""
    with _kept("the projections", ["-m", "api.projector", str(os.getpid())]):
        yield


@contextmanager
def _mtls_listener(settings: Settings) -> Iterator[None]:
    """Keep the process of our own TLS, where there is to be one."""
    if settings.mtls_port is None:
        yield
        return
    with _kept("the mTLS port", ["-m", "api.mtls_listener", str(os.getpid())]):
        yield


@contextmanager
def _kept(name: str, arguments: list[str]) -> Iterator[None]:
    """Keep one Python process; start it again when it dies."""
    stopping = threading.Event()
    command = [sys.executable, *arguments]
    processes = [_detached(command)]

    def watch() -> None:
        while not stopping.wait(_LOOK_SECONDS):
            if processes[0].poll() is not None:
                _log.error("%s stopped; starting it again", name)
                with suppress(OSError):  # no memory or process to be had: in a moment, perhaps
                    processes[0] = _detached(command)

    watcher = threading.Thread(target=watch, name=name, daemon=True)
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


def _announce_when_ready(settings: Settings, announce: Callable[[], None]) -> threading.Event:
    """Call `announce` once requests are answered; the event that is returned is set then."""
    answered = threading.Event()

    def wait() -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if answers(settings):
                answered.set()
                announce()
                return
            time.sleep(0.05)
        _log.error("no worker answers after %d s", _READY_SECONDS)

    threading.Thread(target=wait, name="announce", daemon=True).start()
    return answered


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


def _require_free_ports(settings: Settings) -> None:
    _require_free_port(settings.host, settings.port, "PORT", "; choose another with --port")
    if settings.mtls_port is not None:
        _require_free_port(settings.host, settings.mtls_port, "MTLS_PORT", "")


def _require_free_port(host: str, port: int, setting: str, advice: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"GRANTLEDGER_{setting}: cannot listen on {host}:{port}: {error.strerror}{advice}"
            ) from None
