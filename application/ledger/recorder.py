"""The library's recorder over our table: the blocking way in, for the CLI and the projections.

Differs from PostgresApplicationRecorder: the table is made by the migrations; events are appended
by the function `append_events`, which takes the advisory lock (no LOCK TABLE, no NOTIFY); and an
insert whose answer was lost is read back before it is tried again, so that it is neither doubled
nor reported as a conflict.
"""

from collections.abc import Callable, Sequence
from time import sleep
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    StoredEvent,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from application.ledger.link import ANSWER_SECONDS, DURABLE_SESSION
from application.ledger.schema import EVENTS_TABLE, SCHEMA

APPEND = "SELECT grantledger.append_events(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])"
READ_BACK = (
    "SELECT e.originator_id, e.originator_version, e.state, e.notification_id"
    " FROM unnest(%b::uuid[], %b::bigint[]) AS wanted (id, version)"
    " JOIN grantledger.ledger_events e"
    " ON e.originator_id = wanted.id AND e.originator_version = wanted.version"
)
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.2


def append_parameters(events: Sequence[StoredEvent]) -> tuple[list[Any], ...]:
    """Return the arguments of APPEND for `events`."""
    return (
        [event.originator_id for event in events],
        [event.originator_version for event in events],
        [event.topic for event in events],
        [event.state for event in events],
    )


def recorded_positions(
    events: Sequence[StoredEvent], found: Sequence[tuple[UUID, int, bytes, int]]
) -> list[int] | None:
    """Return the positions of `events` where all are in the log with the same state, else None."""
    by_version = {(row[0], row[1]): row for row in found}
    positions = []
    for event in events:
        row = by_version.get((UUID(str(event.originator_id)), event.originator_version))
        if row is None or bytes(row[2]) != event.state:
            return None
        positions.append(row[3])
    return positions


class _LedgerDatastore(PostgresDatastore):
    def after_connect_func(self) -> Callable[[Connection[Any]], None]:
        library = super().after_connect_func()

        def after_connect(connection: Connection[Any]) -> None:
            library(connection)
            connection.execute(DURABLE_SESSION)

        return after_connect


def open_datastore(database_url: str, *, pool_size: int = 2) -> PostgresDatastore:
    """Return the library's datastore for a libpq URL or conninfo string, all its options kept."""
    parameters = conninfo_to_dict(database_url)
    datastore = _LedgerDatastore(
        dbname="",
        host="",
        port="",
        user="",
        password="",
        schema=SCHEMA,
        # A client that hangs inside a transaction holds the lock that every writer needs.
        idle_in_transaction_session_timeout=ANSWER_SECONDS,
        pool_size=pool_size,
        max_overflow=10,
    )
    datastore.pool.kwargs = {**parameters, "row_factory": dict_row}
    return datastore


class LedgerRecorder(PostgresApplicationRecorder):
    """Records and reads events in `grantledger.ledger_events`."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=EVENTS_TABLE)

    def create_table(self) -> None:
        """Do nothing: application.ledger.schema.migrate makes the table."""

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,  # noqa: ARG002  # the interface's
    ) -> Sequence[int] | None:
        """Append `stored_events` as one unit and return their positions.

        Raises IntegrityError where a version is taken already, OperationalError or
        InterfaceError where PostgreSQL stays away.
        """
        if not stored_events:
            return None
        in_doubt = False
        for attempt in range(_ATTEMPTS):
            try:
                with self.datastore.transaction(commit=True) as cursor:
                    if in_doubt:
                        positions = self._read_back(cursor, stored_events)
                        if positions is not None:
                            return positions
                    return self._append(cursor, stored_events)
            except (InterfaceError, OperationalError):
                in_doubt = True
                if attempt == _ATTEMPTS - 1:
                    raise
                sleep(_PAUSE_SECONDS)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _append(self, cursor: Cursor[DictRow], events: Sequence[StoredEvent]) -> list[int]:
        cursor.execute(APPEND, append_parameters(events), prepare=True)
        row = cursor.fetchone()
        assert row is not None
        first = int(row["append_events"])
        return list(range(first, first + len(events)))

    def _read_back(
        self, cursor: Cursor[DictRow], events: Sequence[StoredEvent]
    ) -> list[int] | None:
        # Under the lock: a backend that still works on the lost attempt has finished by then.
        cursor.execute("SELECT grantledger.close_position_hole()")
        cursor.execute(READ_BACK, append_parameters(events)[:2])
        found = [
            (
                row["originator_id"],
                row["originator_version"],
                row["state"],
                row["notification_id"],
            )
            for row in cursor.fetchall()
        ]
        return recorded_positions(events, found)
