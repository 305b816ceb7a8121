"""Replay: the audit trail in its order, as lines of JSON that PostgreSQL itself writes.

Of the whole log nobody here looks at a row: PostgreSQL makes the JSON, and whole blocks of it are
passed on, of two ranges of positions at once (one connection gives about half the rate). What an
index finds is one query. Moments are ISO 8601 with their offset, UTC.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed

from projections.audit_trail import AuditEntry, search
from projections.event_filter import EventFilter
from projections.query import Query
from projections.session import open_session

RANGE_EVENTS = 20_000
PAGE_EVENTS = 2000
_CONNECTIONS = 2
_BLOCKS = 50

# Lines come by the hundred: a message of the protocol for each cost more than the JSON in it.
_LINES = SQL(
    "SELECT convert_to(string_agg(row_to_json(entry)::text, E'\\n' ORDER BY position), 'UTF8')"
    " FROM (SELECT * FROM read.audit_trail WHERE {} ORDER BY position) AS entry"
    " GROUP BY position / 500 ORDER BY position / 500"
)
_PAGE = SQL(
    "SELECT position, row_to_json(entry)::text AS line FROM (SELECT * FROM read.audit_trail"
    " WHERE {} ORDER BY position LIMIT %(limit)s) AS entry"
)


def json_lines(database_url: str, which: EventFilter, *, up_to: int) -> Iterator[bytes]:
    """Yield blocks of lines, a JSON object an entry, up to and with position `up_to`.

    Blocks end with a line. Raises psycopg.Error.
    """
    bounded = replace(which, before=_end(which, up_to))
    if which.is_selective:
        with closing(open_session(database_url, name="replay")) as connection:
            yield from _read(connection, bounded)
        return
    first = which.after or 0
    last = (bounded.before or 0) - 1
    ranges = [
        replace(which, after=after, before=min(after + RANGE_EVENTS, last) + 1)
        for after in range(first, last, RANGE_EVENTS)
    ]
    yield from _at_once(database_url, ranges)


def _end(which: EventFilter, up_to: int) -> int:
    """Return the position before which to stop: the filter's own end, but no later than `up_to`."""
    return up_to + 1 if which.before is None else min(which.before, up_to + 1)


def _at_once(database_url: str, ranges: list[EventFilter]) -> Iterator[bytes]:
    """Yield the ranges in their order, each read while the one before is passed on."""
    with ExitStack() as stack:
        free: SimpleQueue[Connection[TupleRow]] = SimpleQueue()
        for _ in range(min(_CONNECTIONS, len(ranges))):
            free.put(stack.enter_context(closing(open_session(database_url, name="replay"))))
        pool = stack.enter_context(ThreadPoolExecutor(_CONNECTIONS))

        def read(which: EventFilter) -> list[bytes]:
            connection = free.get()
            try:
                return list(_read(connection, which))
            finally:
                free.put(connection)

        waiting: list[Future[list[bytes]]] = []
        try:
            for which in ranges:
                waiting.append(pool.submit(read, which))
                if len(waiting) > _CONNECTIONS:
                    yield from waiting.pop(0).result()
            for one in waiting:
                yield from one.result()
        finally:
            for one in waiting:
                one.cancel()


def _read(connection: Connection[TupleRow], which: EventFilter) -> Iterator[bytes]:
    with connection.transaction(), connection.cursor("lines", binary=True) as cursor:
        cursor.itersize = _BLOCKS
        for (lines,) in cursor.execute(_LINES.format(which.condition()), which.parameters()):
            yield bytes(lines) + b"\n"


def page_of_lines(which: EventFilter, *, limit: int = PAGE_EVENTS) -> Query[tuple[int, str]]:
    """Ask for the next lines, each with its position."""
    statement: Composed = _PAGE.format(which.condition())
    return Query(statement, {**which.parameters(), "limit": limit}, _line)


def _line(*, position: int, line: str) -> tuple[int, str]:
    return position, line


def entries(connection: Connection[Any], which: EventFilter, *, up_to: int) -> Iterator[AuditEntry]:
    """Yield the entries up to and with position `up_to`, in pages. Raises psycopg.Error."""
    after = which.after or 0
    bounded = replace(which, before=_end(which, up_to))
    while found := search(replace(bounded, after=after), limit=PAGE_EVENTS).fetch(connection):
        yield from found
        after = found[-1].position
