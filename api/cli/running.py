"""Between a command and the use cases it shares with the HTTP API: database, Service, who acts."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from api.cli.options import settings_in_force
from api.cli.progress import waiting
from api.composition import Service
from api.server import connectable, database
from application.settings import Settings
from domain.provenance import Provenance

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


def with_service(work: Callable[[Service], Awaitable[T]]) -> T:
    """Run `work` with the Service of the settings in force and return its result.

    Raises SettingsError, LedgerUnavailable, and what `work` raises.
    """
    settings = settings_in_force()
    with opened_database(settings) as url:
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
