"""Fills a build by several processes at once, a range of positions each, and indexes it likewise.

The former only for read models in which no row depends on the order of events
(Projection.in_any_order): what is made of a range is the same whatever was made of others before.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from multiprocessing import get_context

from psycopg.sql import Composed

from application.ledger.mapper import LedgerMapper
from projections.builds import fill, index_statements
from projections.collector import seldom_collecting
from projections.log_reader import LogReader
from projections.projection import Projection
from projections.session import open_session
from projections.set_aside import mark

RANGE_EVENTS = 100_000
_MAX_PROCESSES = 8
_FOR_INDEXES = "SET maintenance_work_mem = '256MB'"
"""Sorts the entries of an index in memory as far as that goes; of its own session."""


def fill_ranges(
    database_url: str,
    projection: Projection,
    build: int,
    target: int,
    progress: Callable[[int], None],
    *,
    range_events: int = RANGE_EVENTS,
) -> int:
    """Fill `build` with whole ranges from the start of the log and return where they end.

    None is above `target`, and with one processor, or too little to share, it is none: 0.
    `progress` is called with the events done. Raises psycopg.Error.
    """
    starts = range(0, target - range_events + 1, range_events)
    processes = min(os.cpu_count() or 1, len(starts), _MAX_PROCESSES)
    if processes < 2 or not projection.in_any_order:
        return 0
    # Spawned: a fork would share this process's connection.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(_fill_range, database_url, projection, build, after, after + range_events)
            for after in starts
        ]
        try:
            for done, finished in enumerate(as_completed(running), start=1):
                finished.result()
                progress(done * range_events)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return len(starts) * range_events


def create_indexes_at_once(database_url: str, projection: Projection, build: int) -> None:
    """Create the secondary indexes of `build` on several connections. Raises psycopg.Error."""
    statements = index_statements(projection, build)
    if statements:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, len(statements))) as threads:
            list(threads.map(partial(_create_index, database_url, projection.name), statements))


def _create_index(database_url: str, name: str, statement: Composed) -> None:
    with closing(open_session(database_url, name=f"rebuild {name}")) as connection:
        connection.execute(_FOR_INDEXES)
        connection.execute(statement)


def _fill_range(
    database_url: str, projection: Projection, build: int, after: int, up_to: int
) -> None:
    reader, table = LogReader(LedgerMapper(), topics=projection.topics), projection.table(build)
    with (
        seldom_collecting(),
        closing(open_session(database_url, name=f"rebuild {projection.name}")) as connection,
    ):
        while (batch := reader.read(connection, after=after, up_to=up_to)).last > after:
            with connection.transaction():
                lacking = fill(connection, projection, table, batch, after)
                mark(connection, projection, build, lacking)
            after = batch.last
