"""Fixtures of the export's tests: an audit trail of three days, written past the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from projections.builds import ensure_tables
from projections.registry import PROJECTIONS

FIRST_DAY = datetime(2026, 3, 1, 22, tzinfo=UTC)
HOURLY = 40


@pytest.fixture
def trail(session: Connection[Any], database_url: str) -> str:
    """A database whose audit trail has HOURLY events, one an hour, over three days."""
    ensure_tables(session, PROJECTIONS)
    add_events(database_url, 1, HOURLY)
    return database_url


def add_events(database_url: str, first: int, last: int) -> None:
    """Write the events of these positions into the audit trail."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO read.audit_trail (position, occurred_at, recorded_at, topic, outcome, jti,"
            " scope, detail) VALUES (%s, %s, %s, 'token.issued', 'success', gen_random_uuid(),"
            """ ARRAY['user', 'a "quoted" one'], '{"b": 1, "a": [null, "é"]}')""",
            [
                (position, at, at)
                for position in range(first, last + 1)
                for at in [FIRST_DAY + timedelta(hours=position - 1)]
            ],
        )
