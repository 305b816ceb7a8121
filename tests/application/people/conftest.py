"""Real tables for the credentials of people."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest

from application.ledger.schema import migrate
from application.one_time_values import OneTimeValues
from application.people.credentials import Credentials
from application.people.passkeys import Passkeys
from application.people.passwords import Passwords
from application.people.throttle import LoginThrottle
from application.secret_keys import Peppers
from application.side_tables import SideTables
from tests.application.service import OLD_PEPPER, PEPPER
from tests.postgres import Postgres

ORIGIN, RP_ID = "https://auth.example", "auth.example"


@pytest.fixture
async def tables(postgres: Postgres) -> AsyncIterator[SideTables]:
    """The side tables of a migrated database."""
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            migrate(connection, now=datetime.now(UTC))
        opened = SideTables(url)
        yield opened
        await opened.close()


@pytest.fixture
def peppers() -> Peppers:
    """Two peppers, the first current."""
    return Peppers([PEPPER, OLD_PEPPER])


@pytest.fixture
def credentials(tables: SideTables) -> Credentials:
    """The credentials of people."""
    return Credentials(tables)


@pytest.fixture
def passwords(credentials: Credentials, peppers: Peppers) -> Passwords:
    """Passwords under the peppers."""
    return Passwords(credentials, peppers)


@pytest.fixture
def throttle(tables: SideTables, peppers: Peppers) -> LoginThrottle:
    """The throttle."""
    return LoginThrottle(tables, peppers)


@pytest.fixture
def passkeys(credentials: Credentials, tables: SideTables) -> Passkeys:
    """Passkeys of one relying party."""
    values = OneTimeValues(tables)
    return Passkeys(credentials, values, rp_id=RP_ID, rp_name="Test", origin=ORIGIN)
