"""Keeps the read models up with the log: one thread, one session, every projection.

1. A projection has one leader: the session that holds its advisory lock. Others stand by and take
   over when that session ends, whatever it ends of.
2. The rows of a batch and its position are one transaction (projections.builds.project).
3. Projections at the same place of the log share a batch, which is decoded once, and that
   transaction. One thread, because decoding is what costs, and sharing it saves more than threads
   under one interpreter lock could give.
4. One projection that fails is tried again each second and does not stop the others: what failed
   for all is tried for each alone. An event whose data it cannot take is set aside, marked, and
   does not stop it (projections.set_aside); what fails for any other reason is never skipped.
5. At the head of the log it is asked again after POLL_SECONDS, and while many events come after
   SHORT_POLL_SECONDS: a batch takes a processor for its time, and whoever is issuing waits for
   it. Batches of some hundred events wait in no one's way; smaller ones would cost too much each.
6. The months ahead are looked after once a day (projections.months_ahead).
7. A read model that was made from another log than the one that is there is made anew
   (projections.continuity); that is looked at with each batch, and each second without one.
"""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from time import monotonic

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from application.ledger.mapper import LedgerMapper
from projections.builds import begin_anew, ensure_tables, project, tracked_position
from projections.collector import seldom_collecting
from projections.continuity import ReadModelsDiffer, require_of_this_log
from projections.log_reader import BATCH_EVENTS, Batch, LogReader
from projections.months_ahead import MonthsAhead
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.session import open_session, take_leadership
from projections.set_aside import is_of_data
from projections.taken_later import take_later

POLL_SECONDS = 0.1
SHORT_POLL_SECONDS = 0.025
MANY_EVENTS = 100
LEADERSHIP_SECONDS = 0.5
CONTINUITY_SECONDS = 1.0
RETRY_SECONDS = 1.0
RECONNECT_SECONDS = (0.1, 1.0)
"""The first pause before connecting again, and the longest; each is twice the last."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Led:
    """A projection this process leads; `position` is what it knew last, the row decides."""

    projection: Projection
    position: int
    retry_at: float = 0.0


class Projector:
    """Runs projections until told to stop."""

    def __init__(
        self,
        database_url: str,
        projections: Sequence[Projection] = PROJECTIONS,
        *,
        mapper: LedgerMapper | None = None,
        batch_events: int = BATCH_EVENTS,
        months: MonthsAhead | None = None,
    ) -> None:
        self._database_url = database_url
        self._projections = projections
        self._mapper = mapper or LedgerMapper()
        self._reader = LogReader(
            self._mapper, topics=handled_topics(projections), limit=batch_events
        )
        self._months = months or MonthsAhead()
        self._led: dict[str, _Led] = {}
        self._ask_leadership_at = 0.0
        self._look_at_log_at = 0.0

    @property
    def leading(self) -> frozenset[str]:
        """The names of the projections this process writes at present."""
        return frozenset(self._led)

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; sit out PostgreSQL's absence."""
        first, longest = RECONNECT_SECONDS
        pause = first
        while not stop.is_set():
            try:
                with closing(open_session(self._database_url, name="projector")) as connection:
                    ensure_tables(connection, self._projections)
                    pause = first
                    self._serve(connection, stop)
            except psycopg.Error as error:
                _log.warning("the projections wait for PostgreSQL: %s", type(error).__name__)
                stop.wait(pause)
                pause = min(2 * pause, longest)
            finally:
                self._led = {}
                self._ask_leadership_at = 0.0

    def catch_up(self, *, seconds: float) -> None:
        """Write what no other process leads up to the head of the log, for at most so long.

        Raises psycopg.Error.
        """
        deadline = monotonic() + seconds
        with closing(open_session(self._database_url, name="projector")) as connection:
            ensure_tables(connection, self._projections)
            self._ask_leadership(connection)
            self._follow_log(connection)
            more = True
            while self._led and more and monotonic() < deadline:
                more = self._advance_all(connection) == 0.0
        self._led = {}

    def _serve(self, connection: Connection[TupleRow], stop: Event) -> None:
        while not stop.is_set():
            self._ask_leadership(connection)
            self._look_at_log(connection)  # 7
            self._months.ensure(connection)
            pause = self._advance_all(connection)
            if pause:
                stop.wait(pause)

    def _ask_leadership(self, connection: Connection[TupleRow]) -> None:
        if len(self._led) == len(self._projections) or monotonic() < self._ask_leadership_at:
            return
        self._ask_leadership_at = monotonic() + LEADERSHIP_SECONDS
        for projection in self._projections:
            name = projection.name
            if name not in self._led and take_leadership(connection, name):
                position = tracked_position(connection, projection).position
                self._led[name] = _Led(projection, position)
                _log.info("leading %s from position %d", name, position)
                self._take_later(connection, projection)

    def _take_later(self, connection: Connection[TupleRow], projection: Projection) -> None:
        try:
            take_later(connection, projection, self._mapper)
        except Exception:
            if connection.closed:
                raise
            _log.exception("what %s set aside could not be tried again", projection.name)

    def _look_at_log(self, connection: Connection[TupleRow]) -> None:
        if monotonic() >= self._look_at_log_at:
            self._look_at_log_at = monotonic() + CONTINUITY_SECONDS
            self._follow_log(connection)

    def _follow_log(self, connection: Connection[TupleRow]) -> None:
        """Take the positions from the tracking rows, which go back with a restored database."""
        led = [one.projection for one in self._led.values()]
        try:
            positions = require_of_this_log(connection, led)
        except ReadModelsDiffer as differ:
            self._make_anew(connection, differ)
            positions = require_of_this_log(connection, led)
        for name, position in positions.items():
            self._led[name].position = position

    def _make_anew(self, connection: Connection[TupleRow], differ: ReadModelsDiffer) -> None:
        _log.error("made anew, because the log went back: %s", ", ".join(sorted(differ.names)))
        with connection.transaction():
            for name in sorted(differ.names):
                begin_anew(connection, self._led[name].projection)

    def _advance_all(self, connection: Connection[TupleRow]) -> float:
        """Give each projection one batch. Return the seconds to wait before the next."""
        now = monotonic()
        ready = (led for led in self._led.values() if led.retry_at <= now)
        waiting = sorted(ready, key=lambda led: led.position)
        full, many = False, False
        while waiting:
            batch = self._reader.read(connection, after=waiting[0].position)
            reached = [led for led in waiting if led.position <= batch.last]
            waiting = waiting[len(reached) :]
            self._advance(connection, reached, batch)
            full = full or batch.full
            many = many or batch.last - batch.after > MANY_EVENTS
        if full:
            return 0.0
        return SHORT_POLL_SECONDS if many else POLL_SECONDS

    def _advance(
        self, connection: Connection[TupleRow], reached: Sequence[_Led], batch: Batch
    ) -> None:
        behind = [led for led in reached if led.position < batch.last]
        if not behind:
            return
        try:
            positions = project(connection, [led.projection for led in behind], batch)
        except ReadModelsDiffer:  # 7
            self._follow_log(connection)
        except Exception as error:
            if connection.closed:
                raise
            if len(behind) > 1:  # who of them cannot?
                for led in behind:
                    self._advance(connection, [led], batch)
                return
            self._advance_alone(connection, behind[0], batch, error)
        else:
            for led, position in zip(behind, positions, strict=True):
                led.position = position

    def _advance_alone(
        self, connection: Connection[TupleRow], led: _Led, batch: Batch, error: Exception
    ) -> None:
        """Go past the events that the projection cannot take, or try all again in a while."""
        if is_of_data(error):
            try:
                (led.position,) = project(connection, [led.projection], batch, isolate=True)
                return
            except Exception as again:
                if connection.closed:
                    raise
                error = again
        _log.error("%s cannot go on from %d", led.projection.name, led.position, exc_info=error)
        led.retry_at = monotonic() + RETRY_SECONDS


def run(database_url: str, stop: Event) -> None:
    """Run all projections in this thread until `stop` is set. Made for a process of its own."""
    with seldom_collecting():
        Projector(database_url).run(stop)


def handled_topics(projections: Sequence[Projection]) -> frozenset[str] | None:
    """Return the topics that `projections` need together, None for every one."""
    topics: frozenset[str] = frozenset()
    for projection in projections:
        if projection.topics is None:
            return None
        topics |= projection.topics
    return topics
