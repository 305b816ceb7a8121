"""Fixtures that every test may ask for: databases, and a server that may be stopped and killed."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import settings

from tests.postgres import Postgres, running_postgres

# No deadline for a single example: on a busy machine it would fail tests that prove nothing slow.
settings.register_profile("grantledger", deadline=None)
settings.load_profile("grantledger")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests. Nobody stops it: that is what `private_database` is for."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A fresh, migrated database of the test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """A fresh database of the test's own without our schema."""
    with postgres.database(migrated=False) as url:
        yield url


@dataclass(frozen=True)
class PrivateDatabase:
    """A fresh, migrated database on a server that the test may stop, start and kill."""

    url: str
    server: Postgres


@pytest.fixture(scope="session")
def second_postgres() -> Iterator[Postgres]:
    """The server behind `private_database`; it runs again at the end of each test."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def private_database(second_postgres: Postgres) -> Iterator[PrivateDatabase]:
    """A database whose server belongs to the test alone for as long as the test runs."""
    with second_postgres.database() as url:
        yield PrivateDatabase(url, second_postgres)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the service does."""
    return "asyncio"
