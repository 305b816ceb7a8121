"""Gives events that were set aside a second attempt, by a program that may know more.

A program of an older version does not know the topics of a newer one, and sets them aside. Where
the order of events does not matter, the process that begins to lead a read model writes late what
it can; the other read models need a rebuild.
"""

import logging

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL

from application.ledger.mapper import LedgerMapper
from projections.builds import fill, lock_tracked, tracked_position
from projections.log_reader import LogReader
from projections.projection import Projection
from projections.set_aside import forget, is_of_data, marked

MOST_AT_ONCE = 1_000

_log = logging.getLogger(__name__)


def take_later(
    connection: Connection[TupleRow], projection: Projection, mapper: LedgerMapper
) -> list[int]:
    """Write what the live build lacks and this program can take; return the positions of it.

    At most MOST_AT_ONCE are tried, the oldest: who begins to lead must not be long about it. Raises
    psycopg.Error for what is not about an event.
    """
    if not projection.in_any_order:
        return []
    reader = LogReader(mapper, topics=projection.topics, limit=1)
    build = tracked_position(connection, projection).build
    lacking = marked(connection, projection, build, limit=MOST_AT_ONCE)
    taken = [one for one in lacking if _taken(connection, projection, build, one, reader)]
    if taken:
        _log.warning("%s now holds %d events that were set aside", projection.name, len(taken))
    return taken


def _taken(
    connection: Connection[TupleRow],
    projection: Projection,
    build: int,
    position: int,
    reader: LogReader,
) -> bool:
    batch = reader.read(connection, after=position - 1, up_to=position)
    if not batch.events:  # unreadable still, or its month is detached
        return False
    table = projection.table(build)
    try:
        with connection.transaction():
            if lock_tracked(connection, projection).build != build:
                return False
            if projection.stand_in is not None:
                connection.execute(
                    SQL("DELETE FROM {} WHERE position = %s").format(table), (position,)
                )
            fill(connection, projection, table, batch, position - 1, isolate=False)
            forget(connection, projection, build, [position])
    except Exception as error:
        if connection.closed or not is_of_data(error):
            raise
        return False
    return True
