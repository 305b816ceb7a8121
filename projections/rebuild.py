"""Rebuilds a read model beside the live one, then shows it instead: no reader sees a gap.

1. What a broken-off rebuild left is dropped.
2. The new build is filled without secondary indexes up to the head of the log (by all processors,
   where the order of events does not matter), indexed, and brought up to the head again. The live
   build goes on meanwhile.
3. In one transaction: the tracking row is locked, which stops the leader; the new build is brought
   up to where the leader was; view and tracking row change over. The leader goes on in the new
   build from the position it finds.
4. The old build is dropped once its last readers are gone.

An event that the new build cannot take is set aside in it (projections.set_aside); one that only
the old build could not take is there again, and its mark goes with the old build.

Where months of the log are detached the new build would lack what the live one may hold of them:
that is refused unless it is asked for.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg.rows import TupleRow
from psycopg.sql import SQL

from application.ledger.mapper import LedgerMapper
from projections.builds import (
    Tracked,
    create_build,
    drop_build,
    ensure_tables,
    fill,
    lock_tracked,
    other_builds,
    show_build,
    track,
    tracked_position,
)
from projections.collector import seldom_collecting
from projections.log_reader import BATCH_EVENTS, LogReader, log_head
from projections.parallel_fill import RANGE_EVENTS, create_indexes_at_once, fill_ranges
from projections.projection import Projection
from projections.retention.months import require_whole_log
from projections.session import maintenance, open_session
from projections.set_aside import mark

SWITCH_ATTEMPTS = 30
"""How often the view's readers are waited for, LOCK_SECONDS each time."""

Progress = Callable[[int, int], None]
"""Called with the events done and the events in all."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The build that is live now, and the position at which it took over."""

    projection: str
    build: int
    position: int


def no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""


def rebuild(
    database_url: str,
    projection: Projection,
    *,
    progress: Progress = no_progress,
    batch_events: int = BATCH_EVENTS,
    range_events: int = RANGE_EVENTS,
    without_detached: bool = False,
) -> Rebuilt:
    """Rebuild `projection` from the log.

    Raises MonthsDetached unless `without_detached`, MaintenanceRunning, psycopg.Error, and
    LockNotAvailable (of the latter) where readers would not leave the view for a minute; the live
    build is then as it was.
    """
    with (
        seldom_collecting(),
        closing(open_session(database_url, name=f"rebuild {projection.name}")) as connection,
        maintenance(connection, projection.name),
    ):
        if not without_detached:
            require_whole_log(connection)
        ensure_tables(connection, [projection])
        leftovers = other_builds(connection, projection)
        for build in leftovers:
            _drop_when_unread(connection, projection, build)
        old = tracked_position(connection, projection).build
        number = max(old, *leftovers, 0) + 1
        new = _Build(connection, projection, number, progress, batch_events)
        try:
            new.prepare(database_url, range_events)
            switched = new.switch()
        except BaseException:
            if not connection.closed:
                drop_build(connection, projection, number)
            raise
        _drop_when_unread(connection, projection, old)
    return switched


class _Build:
    """A build on its way to become the live one."""

    def __init__(
        self,
        connection: Connection[TupleRow],
        projection: Projection,
        build: int,
        progress: Progress,
        batch_events: int,
    ) -> None:
        self._connection = connection
        self._projection = projection
        self._build = build
        self._table = projection.table(build)
        self._progress = progress
        self._reader = LogReader(LedgerMapper(), topics=projection.topics, limit=batch_events)
        self._position = 0

    def prepare(self, database_url: str, range_events: int) -> None:
        """Fill and index the build; it ends close behind the head of the log."""
        create_build(self._connection, self._projection, self._build)
        head = log_head(self._connection)
        self._position = fill_ranges(
            database_url,
            self._projection,
            self._build,
            head,
            lambda done: self._progress(done, head),
            range_events=range_events,
        )
        self._fill_to(log_head(self._connection))
        create_indexes_at_once(database_url, self._projection, self._build)
        self._connection.execute(SQL("ANALYZE {}").format(self._table))
        self._fill_to(log_head(self._connection))

    def switch(self) -> Rebuilt:
        """Change over. Raises LockNotAvailable where the view is never free."""
        for attempt in range(1, SWITCH_ATTEMPTS + 1):
            try:
                return self._switch_once()
            except LockNotAvailable:
                if attempt == SWITCH_ATTEMPTS:
                    raise
                _log.info("waiting for the readers of %s", self._projection.name)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _switch_once(self) -> Rebuilt:
        filled_to = self._position
        try:
            with self._connection.transaction():
                live = lock_tracked(self._connection, self._projection)
                self._fill_to(live.position)
                show_build(self._connection, self._projection, self._build)
                track(self._connection, self._projection, Tracked(self._build, self._position))
        except BaseException:
            self._position = filled_to
            raise
        return Rebuilt(self._projection.name, self._build, self._position)

    def _fill_to(self, target: int) -> None:
        while self._position < target:
            batch = self._reader.read(self._connection, after=self._position)
            if batch.last == self._position:  # the log ends before what the live build claims
                return
            with self._connection.transaction():
                lacking = fill(
                    self._connection, self._projection, self._table, batch, self._position
                )
                mark(self._connection, self._projection, self._build, lacking)
            self._position = batch.last
            self._progress(self._position, max(target, self._position))


def _drop_when_unread(connection: Connection[TupleRow], projection: Projection, build: int) -> None:
    try:
        drop_build(connection, projection, build)
    except LockNotAvailable:
        _log.warning(
            "%s is still being read: the next rebuild drops it", projection.table_name(build)
        )
