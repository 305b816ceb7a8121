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

_LINES = SQL(
    "SELECT row_to_json(entry) FROM (SELECT * FROM read.audit_trail WHERE {} ORDER BY position)"
    " AS entry"
)
# JSON has no such characters, so that nothing is ever quoted: a row is a line as it is.
_COPY = SQL("COPY ({}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')")
_PAGE = SQL(
    "SELECT position, row_to_json(entry)::text AS line FROM (SELECT * FROM read.audit_trail"
    " WHERE {} ORDER BY position LIMIT %(limit)s) AS entry"
)


def json_lines(database_url: str, which: EventFilter, *, up_to: int) -> Iterator[bytes]:
    """Yield blocks of lines, a JSON object an entry, up to and with position `up_to`.

    Blocks end anywhere. Raises psycopg.Error.
    """
    bounded = replace(which, before=min(which.before or up_to + 1, up_to + 1))
    if which.is_selective:
        with closing(open_session(database_url, name="replay")) as connection:
            yield from _copied(connection, bounded)
        return
    first = which.after or 0
    last = (bounded.before or 0) - 1
    ranges = [
        replace(which, after=after, before=min(after + RANGE_EVENTS, last) + 1)
        for after in range(first, last, RANGE_EVENTS)
    ]
    yield from _at_once(database_url, ranges)


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
                return list(_copied(connection, which))
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


def _copied(connection: Connection[TupleRow], which: EventFilter) -> Iterator[bytes]:
    statement = _COPY.format(_LINES.format(which.condition()))
    with connection.cursor() as cursor, cursor.copy(statement, which.parameters()) as copy:
        for block in copy:
            yield bytes(block)


def page_of_lines(which: EventFilter, *, limit: int = PAGE_EVENTS) -> Query[tuple[int, str]]:
    """Ask for the next lines, each with its position."""
    statement: Composed = _PAGE.format(which.condition())
    return Query(statement, {**which.parameters(), "limit": limit}, _line)


def _line(*, position: int, line: str) -> tuple[int, str]:
    return position, line


def entries(connection: Connection[Any], which: EventFilter, *, up_to: int) -> Iterator[AuditEntry]:
    """Yield the entries up to and with position `up_to`, in pages. Raises psycopg.Error."""
    after = which.after or 0
    bounded = replace(which, before=min(which.before or up_to + 1, up_to + 1))
    while found := search(replace(bounded, after=after), limit=PAGE_EVENTS).fetch(connection):
        yield from found
        after = found[-1].position
