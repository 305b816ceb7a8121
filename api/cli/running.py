"""Between a command and the use cases it shares with the HTTP API: database, Service, who acts."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

import psycopg
import rich_click as click

from api.cli.options import settings_in_force
from api.cli.progress import waiting
from api.composition import Service
from api.server import connectable, database
from application.settings import Settings
from domain.provenance import Provenance
from projections.builds import ensure_tables
from projections.projection import Projection
from projections.session import open_session
from projections.status import projection_status

T = TypeVar("T")


@contextmanager
def opened_database(settings: Settings, *, migrated: bool = True) -> Iterator[str]:
    """Yield the URL of the database, the embedded one started and stopped again where needed.

    Raises SettingsError and LedgerUnavailable.
    """
    with ExitStack() as stack:
        if settings.database_url is not None:
            text = "Connecting to PostgreSQL"
        elif (settings.data_dir / "postgres" / "PG_VERSION").exists():
            text = "Starting PostgreSQL"
        else:
            text = "Setting up PostgreSQL (the first time takes some seconds)"
        with waiting(text):
            url = stack.enter_context((database if migrated else connectable)(settings))
        yield url


@contextmanager
def opened_read_models(*needed: Projection) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to the read models; say so where one that is needed is behind the log.

    Raises SettingsError and LedgerUnavailable.
    """
    with (
        opened_database(settings_in_force()) as url,
        closing(open_session(url, name="cli")) as connection,
    ):
        note_lag(connection, *needed)
        yield connection


def note_lag(connection: psycopg.Connection[Any], *needed: Projection) -> None:
    """Make the read models that are not there yet; say so where one is behind the log."""
    ensure_tables(connection, needed)
    behind = max(one.lag_events for one in projection_status(needed).fetch(connection))
    if behind:
        click.echo(
            f"note: the read models are {behind} events behind the log; the service brings them"
            " up to date, or `grantledger projections run`",
            err=True,
        )


def with_service(work: Callable[[Service], Awaitable[T]]) -> T:
    """Run `work` with the Service of the settings in force and return its result.

    Raises SettingsError, LedgerUnavailable, and what `work` raises.
    """
    settings = settings_in_force()
    with opened_database(settings) as url:
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
        by=f"cli:{_user()}",
        why=reason,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user id without a name
        return str(os.getuid())
