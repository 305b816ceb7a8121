"""Events that a read model cannot take: set aside and marked, so that one never stops the trail.

1. Only data is set aside: a state that cannot be decoded, or a value that the table cannot hold. A
   lock, a time-out, a full disk or a lost connection says nothing about an event: all of it is
   tried again (`is_of_data`).
2. One event is set aside, and not the batch it is in: a batch that is refused is halved until the
   culprit stands alone (`isolated`).
3. A mark is a row of grantledger.set_aside_events, written in the transaction that moves the
   position past the event. It belongs to one build: a rebuild tries every event anew, and its own
   marks take over with it.
4. Where the read model shows every event (the audit trail), a row stands in for it, which names its
   topic and stream, so that no reader takes the gap for nothing.
5. What a new program can take after all is written late where the order does not matter, as soon as
   it leads (projections.taken_later); elsewhere by a rebuild.
"""

import logging
from collections.abc import Sequence

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from projections.projection import LoggedEvent, Projection, SetAside

_OF_DATA = frozenset({"22", "23", "54"})
"""Classes of SQLSTATE: data exceptions, violated constraints, exceeded limits of one row or value.

Not among them, because trying again may help: 08 (connection), 25, 40 (conflicts), 42 (a table that
is missing or of another form), 53 (resources), 55 (locks), 57 (operators), 58 and XX (the system).
"""
_BY_DATA = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What our own code raises for a fact that is missing or of another kind."""

_MARK = (
    "INSERT INTO grantledger.set_aside_events"
    " (projection, build, position, topic, stream_id, reason)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_FORGET = (
    "DELETE FROM grantledger.set_aside_events"
    " WHERE projection = %s AND build = %s AND position = ANY(%s)"
)
_FORGET_BUILD = "DELETE FROM grantledger.set_aside_events WHERE projection = %s AND build = %s"
_MARKED = (
    "SELECT position FROM grantledger.set_aside_events"
    " WHERE projection = %s AND build = %s ORDER BY position LIMIT %s"
)
_MOST_LOGGED = 10

_log = logging.getLogger(__name__)


def is_of_data(error: BaseException) -> bool:
    """Tell whether `error` is about the data of an event, so that trying again cannot help."""
    if isinstance(error, psycopg.Error):
        if error.sqlstate is None:  # psycopg itself could not encode a value
            return isinstance(error, psycopg.DataError)
        return error.sqlstate[:2] in _OF_DATA
    return isinstance(error, _BY_DATA)


def _reason(error: BaseException) -> str:
    """Return the cause without a word of the data, which may be what must not be shown."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return f"{type(error).__name__} (SQLSTATE {error.sqlstate})"
    return type(error).__name__


def isolated(
    connection: Connection[TupleRow],
    projection: Projection,
    table: Composed,
    events: Sequence[LoggedEvent],
) -> list[SetAside]:
    """Write the rows of `events`, within a transaction, and return those that cannot be written.

    Raises what is not about the data of an event, and then nothing of it is written.
    """
    if not events:
        return []
    try:
        with connection.transaction(), connection.cursor() as cursor:
            projection.write(cursor, table, events)
    except Exception as error:
        if connection.closed or not is_of_data(error):
            raise
        if len(events) == 1:
            return [_aside(events[0], _reason(error))]
        middle = len(events) // 2
        return [
            *isolated(connection, projection, table, events[:middle]),
            *isolated(connection, projection, table, events[middle:]),
        ]
    return []


def _aside(event: LoggedEvent, reason: str) -> SetAside:
    return SetAside(event.position, event.recorded_at, event.topic, event.stream_id, reason)


def stand_in(
    connection: Connection[TupleRow],
    projection: Projection,
    table: Composed,
    found: Sequence[SetAside],
) -> None:
    """Write the rows that stand in for what was set aside, where the read model has such rows."""
    if found and projection.stand_in is not None:
        with connection.cursor() as cursor:
            projection.stand_in(cursor, table, found)


def mark(
    connection: Connection[TupleRow],
    projection: Projection,
    build: int,
    found: Sequence[SetAside],
) -> None:
    """Mark what `build` lacks, in the transaction that moves its position past it."""
    if not found:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            _MARK,
            [
                (projection.name, build, one.position, one.topic, one.stream_id, one.reason)
                for one in found
            ],
        )
    for one in found[:_MOST_LOGGED]:
        _log.error(
            "%s sets the event at position %d (%s) aside: %s",
            projection.name,
            one.position,
            one.topic,
            one.reason,
        )


def forget_build(connection: Connection[TupleRow], projection: Projection, build: int) -> None:
    """Forget the marks of a build that is dropped."""
    connection.execute(_FORGET_BUILD, (projection.name, build))


def marked(
    connection: Connection[TupleRow], projection: Projection, build: int, *, limit: int
) -> list[int]:
    """Return the first positions that `build` lacks."""
    found = connection.execute(_MARKED, (projection.name, build, limit))
    return [int(position) for (position,) in found]


def forget(
    connection: Connection[TupleRow], projection: Projection, build: int, positions: Sequence[int]
) -> None:
    """Take the marks of `positions` away: the read model holds these events now."""
    connection.execute(_FORGET, (projection.name, build, list(positions)))
