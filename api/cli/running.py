"""Between a command and the use cases it shares with the HTTP API: database, Service, who acts."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, TypeVar

import psycopg
import rich_click as click

from api.cli.options import settings_in_force
from api.cli.progress import waiting
from api.composition import Service
from api.embedded_postgres import is_set_up
from api.server import connectable, database
from application.audit_reading import record_at_once
from application.clock import RandomIds, SystemClock
from application.ledger.ledger import Ledger
from application.settings import Settings
from domain.audit_reading import Reading
from domain.provenance import Provenance
from domain.recorded import escaped
from projections.builds import ensure_tables
from projections.projection import Projection
from projections.runner import Projector
from projections.session import open_session
from projections.status import projection_status

T = TypeVar("T")

CATCH_UP_SECONDS = 3.0
"""How long a command brings read models up to date by itself before it answers."""
LEADER_SECONDS = 1.0
_LOOK_SECONDS = 0.05


@contextmanager
def opened_database(settings: Settings, *, migrated: bool = True) -> Iterator[str]:
    """Yield the URL of the database, the embedded one started and stopped again where needed.

    Raises SettingsError and LedgerUnavailable.
    """
    with ExitStack() as stack:
        if settings.database_url is not None:
            text = "Connecting to PostgreSQL"
        elif is_set_up(settings.data_dir):
            text = "Starting PostgreSQL"
        else:
            text = "Setting up PostgreSQL (the first time takes some seconds)"
        with waiting(text):
            url = stack.enter_context((database if migrated else connectable)(settings))
        yield url


@contextmanager
def opened_read_models(
    *needed: Projection, reads: str, filters: str = ""
) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to the read models, up to date where that takes no longer than a moment.

    That somebody `reads` them, and by which `filters`, is recorded first. Raises SettingsError and
    LedgerUnavailable.
    """
    with opened_trail(*needed, reads=reads, filters=filters) as (_, connection):
        yield connection


@contextmanager
def opened_trail(
    *needed: Projection, reads: str, filters: str = ""
) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """Do the same, and yield the URL of the database beside it."""
    with (
        opened_database(settings_in_force()) as url,
        closing(open_session(url, name="cli")) as connection,
    ):
        record_reading(url, reads, filters)
        brought_up(url, connection, *needed)
        yield url, connection


def record_reading(url: str, what: str, filters: str) -> None:
    """Record that the user of the system reads `what`. Raises LedgerUnavailable."""
    ids = RandomIds()

    async def work() -> None:
        async with Ledger(url) as log:
            await record_at_once(
                Reading(f"cli:{user()}", "cli", what),
                parameters=filters,
                process=f"cli:{os.getpid()}",
                log=log,
                ids=ids,
                provenance=Provenance(SystemClock().now(), ids.request_id()),
            )

    asyncio.run(work())


def brought_up(url: str, connection: psycopg.Connection[Any], *needed: Projection) -> None:
    """Bring the read models up to the log where no service does; say so where they stay behind."""
    ensure_tables(connection, needed)
    if not _behind(connection, needed):
        return
    Projector(url, needed).catch_up(seconds=CATCH_UP_SECONDS)
    deadline = monotonic() + LEADER_SECONDS
    while (behind := _behind(connection, needed)) and monotonic() < deadline:
        sleep(_LOOK_SECONDS)  # the service leads, and is on its way
    if behind:
        click.echo(
            f"note: the read models are {behind} events behind the log; the service brings them"
            " up to date, or `grantledger projections run`",
            err=True,
        )


@contextmanager
def keeping_up(url: str, *needed: Projection) -> Iterator[None]:
    """Keep read models up with the log meanwhile, where no service does."""
    stop = Event()
    projector = Thread(target=Projector(url, needed).run, args=(stop,), daemon=True)
    projector.start()
    try:
        yield
    finally:
        stop.set()
        projector.join()


def _behind(connection: psycopg.Connection[Any], needed: Sequence[Projection]) -> int:
    return max(one.lag_events for one in projection_status(needed).fetch(connection))


def with_service(work: Callable[[Service], Awaitable[T]]) -> T:
    """Run `work` with the Service of the settings in force and return its result.

    Raises SettingsError, LedgerUnavailable, and what `work` raises.
    """
    settings = settings_in_force()
    with opened_database(settings) as url:
        return serving(settings, url, work)


def read_by_service(work: Callable[[Service], Awaitable[T]], *, reads: str, filters: str = "") -> T:
    """Return what `work` finds, once it is recorded that somebody `reads` that.

    Raises as `with_service` does.
    """
    settings = settings_in_force()
    with opened_database(settings) as url:
        record_reading(url, reads, filters)
        return serving(settings, url, work)


def serving(settings: Settings, url: str, work: Callable[[Service], Awaitable[T]]) -> T:
    """Do the same where the database is open already."""
    return asyncio.run(_served(settings, url, work))


async def _served(settings: Settings, url: str, work: Callable[[Service], Awaitable[T]]) -> T:
    async with Service(settings, url) as service:
        return await work(service)


def by_operator(service: Service, reason: str) -> Provenance:
    """Return the provenance of an act on this command line: the user of the system did it."""
    return Provenance(
        occurred_at=service.clock.now(),
        request_id=service.ids.request_id(),
        by=f"cli:{user()}",
        why=reason,
    )


def user() -> str:
    """Return who runs this command: the user of the system."""
    try:
        return escaped(getpass.getuser())  # LOGNAME may hold any bytes
    except (KeyError, OSError):  # a container may run as a user id without a name
        return str(os.getuid())
