"""What the table of the log holds, read past all the code under test."""

from typing import NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent


class Row(NamedTuple):
    """One event as the table has it."""

    position: int
    stream: UUID
    version: int
    state: bytes


def rows(database_url: str) -> list[Row]:
    """Return all events in the order of their positions."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT notification_id, originator_id, originator_version, state"
            " FROM grantledger.ledger_events ORDER BY notification_id"
        ).fetchall()
    return [Row(*row) for row in found]


Key = tuple[UUID | str, int]


def keys(database_url: str) -> list[Key]:
    """Return stream and version of all events in the order of their positions."""
    return [(row.stream, row.version) for row in rows(database_url)]


def keys_of(*units: list[StoredEvent]) -> list[Key]:
    """Return stream and version of the events of `units`, as `keys` does once they are recorded."""
    return [(event.originator_id, event.originator_version) for unit in units for event in unit]


def positions(database_url: str) -> list[int]:
    """Return the positions of all events, lowest first."""
    return [row.position for row in rows(database_url)]


def writer_waits(database_url: str) -> bool:
    """Tell whether a writer waits for the lock that another holds."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database())"
        ).fetchone()
    return found == (True,)
