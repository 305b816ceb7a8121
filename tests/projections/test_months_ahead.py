"""A service that runs for months has a partition for each of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import Connection

from application.ledger.schema import MIGRATION_LOCK, MONTHS_AHEAD, month_partition
from projections.months_ahead import AGAIN, EVERY, MonthsAhead
from projections.runner import Projector
from tests.projections.projecting import projecting
from tests.waiting import eventually


class _Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.moment


def _exists(connection: Connection[Any], name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (f"grantledger.{name}",)).fetchone()
    return row is not None and row[0] is not None


def test_a_running_projector_makes_the_next_month(
    database_url: str, session: Connection[Any]
) -> None:
    """When the clock reaches the next month, a process that went on running makes one more."""
    clock = _Clock()
    next_month = clock.moment.replace(day=1) + timedelta(days=32)
    name = month_partition(next_month, MONTHS_AHEAD)[0]
    with projecting(Projector(database_url, months=MonthsAhead(clock))):
        eventually(lambda: len(_tracked(session)) > 0)
        before = _exists(session, name)
        clock.moment = next_month

        eventually(lambda: _exists(session, name))
    assert not before


def _tracked(session: Connection[Any]) -> list[Any]:
    return session.execute("SELECT name FROM grantledger.projections").fetchall()


def test_once_a_day(session: Connection[Any]) -> None:
    """A second look within the day costs nothing, and a day later there is one."""
    clock = _Clock()
    months = MonthsAhead(clock)
    months.ensure(session)
    clock.moment = clock.moment.replace(day=1) + timedelta(days=32)
    created = months.ensure(session)
    session.execute(f"DROP TABLE grantledger.{created[0]}")
    clock.moment += EVERY - timedelta(seconds=1)
    too_early = months.ensure(session)
    clock.moment += timedelta(seconds=1)

    assert too_early == []
    assert months.ensure(session) == created


def test_a_failure_is_tried_again(session: Connection[Any]) -> None:
    """What PostgreSQL refuses does not stop the projections, and an hour later it is done."""
    clock = _Clock()
    months = MonthsAhead(clock)
    clock.moment = clock.moment.replace(day=1) + timedelta(days=32)
    name = month_partition(clock.moment, MONTHS_AHEAD)[0]
    session.execute("ALTER TABLE grantledger.ledger_events RENAME TO elsewhere")
    refused = months.ensure(session)
    session.execute("ALTER TABLE grantledger.elsewhere RENAME TO ledger_events")
    clock.moment += AGAIN

    assert refused == []
    assert months.ensure(session) == [name]


def test_beside_a_migration_nothing_is_made(database_url: str, session: Connection[Any]) -> None:
    """Another process that holds the lock of migrations does it itself."""
    clock = _Clock()
    clock.moment = clock.moment.replace(day=1) + timedelta(days=32)
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))

        assert MonthsAhead(clock).ensure(session) == []
