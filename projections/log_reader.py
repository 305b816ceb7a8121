"""Reads the log in batches; each state is decoded once for all projections.

A query of our own beside the recorder's select_notifications: that one knows no recorded_at,
builds a frozen object an event, and takes its connection from a pool; here the reader and the
writer share the session that holds the leader's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection
from psycopg.rows import TupleRow

from application.ledger.mapper import LedgerMapper
from projections.projection import LoggedEvent, SetAside

BATCH_EVENTS = 4000
UNREADABLE = "unreadable"
"""Why an event is set aside whose topic is not known, or whose state cannot be decoded."""

_READ = (
    "SELECT notification_id, recorded_at::text, topic, originator_id::text, state,"
    " originator_version"
    " FROM grantledger.ledger_events WHERE notification_id > %b"
    " ORDER BY notification_id LIMIT %b"
)
_HEAD = "SELECT coalesce(max(notification_id), 0) FROM grantledger.ledger_events"


@dataclass(frozen=True, slots=True)
class Batch:
    """The events from `after`, exclusive, up to and with position `last`.

    `full` says that the log probably holds more. Topics nobody asked for are left out of `events`.
    `unreadable` are the events whose state cannot be decoded.
    `mark` recognises the last event, see projections.continuity.
    """

    after: int
    last: int
    full: bool
    events: Sequence[LoggedEvent]
    unreadable: Sequence[SetAside] = ()
    mark: bytes | None = None

    def since(self, position: int) -> Sequence[LoggedEvent]:
        """Return the events above `position`."""
        if position == self.after:
            return self.events
        return [event for event in self.events if event.position > position]


class LogReader:
    """Reads events of `topics`, None for every one."""

    def __init__(
        self, mapper: LedgerMapper, *, topics: frozenset[str] | None, limit: int = BATCH_EVENTS
    ) -> None:
        self._mapper = mapper
        self._topics = topics
        self._limit = limit

    def read(
        self, connection: Connection[TupleRow], *, after: int, up_to: int | None = None
    ) -> Batch:
        """Return the next batch above `after`, of which none is above `up_to`."""
        cursor = connection.execute(_READ, (after, self._limit), prepare=True, binary=True)
        rows = cursor.fetchall()
        full = len(rows) == self._limit
        if up_to is not None:
            rows = [row for row in rows if row[0] <= up_to]
        if not rows:
            return Batch(after, after, False, ())
        to_facts, topics = self._mapper.to_facts, self._topics
        events, unreadable = [], []
        for position, recorded_at, topic, stream_id, state, _ in rows:
            if topics is not None and topic not in topics:
                continue
            try:
                facts = to_facts(topic, state)
            except MapperDeserialisationError:
                unreadable.append(SetAside(position, recorded_at, topic, stream_id, UNREADABLE))
            else:
                events.append(LoggedEvent(position, recorded_at, topic, stream_id, facts))
        return Batch(after, rows[-1][0], full, events, unreadable, _mark(rows[-1]))


def _mark(row: TupleRow) -> bytes:
    _, _, _, stream_id, state, version = row
    return sha256(UUID(stream_id).bytes + int(version).to_bytes(8, "big") + bytes(state)).digest()


def log_head(connection: Connection[TupleRow]) -> int:
    """Return the position of the newest event, 0 for an empty log."""
    row = connection.execute(_HEAD).fetchone()
    return int(row[0]) if row else 0
