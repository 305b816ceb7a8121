"""Months of the log are made ahead of time by whoever runs the projections, once a day.

A start makes them too, but a service may run longer than the months that its start made. Of several
processes that try at once one does it; what fails is tried again within the hour, and two months
before it would matter.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from application.ledger.schema import MIGRATION_LOCK, ensure_partitions

EVERY = timedelta(days=1)
AGAIN = timedelta(hours=1)

_log = logging.getLogger(__name__)


def _system_time() -> datetime:
    return datetime.now(UTC)


class MonthsAhead:
    """Remembers when the partitions were looked after last."""

    def __init__(self, now: Callable[[], datetime] = _system_time) -> None:
        self._now = now
        self._due = datetime.min.replace(tzinfo=UTC)

    def ensure(self, connection: Connection[TupleRow]) -> list[str]:
        """Make what is missing, if a day has passed; return the names of new partitions.

        Raises psycopg.Error only where the connection is lost.
        """
        now = self._now()
        if now < self._due:
            return []
        self._due = now + AGAIN
        try:
            created = _ensured(connection, now)
        except psycopg.Error:
            if connection.closed:
                raise
            _log.exception("the months ahead could not be made; the next attempt is in an hour")
            return []
        self._due = now + EVERY
        return created


def _ensured(connection: Connection[TupleRow], now: datetime) -> list[str]:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (MIGRATION_LOCK,)).fetchone()
    if row != (True,):  # another process migrates, which makes them too
        return []
    try:
        return ensure_partitions(connection, now=now)
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
