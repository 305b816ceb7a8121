"""Group commit: one writer per process commits whatever queued while the last commit ran.

Rules of our own:
1. A unit is all or nothing, and is answered only after its COMMIT.
2. One unit's conflict never fails its neighbours: a refused batch is halved until the culprit
   stands alone.
3. Two units on the same stream do not share a batch: the second must see the first one's conflict.
4. With the writer idle, half of what was last in flight starts a commit at once, from within the
   request: the event loop would come to the writer only after every request that is ready, and the
   other half is worked on while PostgreSQL flushes.
5. A lost answer is not a conflict: the batch is read back, under the writers' lock, before it is
   decided. A batch is one statement, so it is in the log whole or not at all. What is not there is
   sent once more, and all of it for so long only: what breaks each connection must not go on so.
6. With PostgreSQL away nothing waits for long: what was not sent is refused at once.
7. The unit of an announced end (application.ledger.announced_ends) goes first and alone.
8. A unit belongs to the epoch that it was handed in in (application.ledger.log_epoch) and is not
   recorded in another, and the log itself refuses a batch of a process that knows more of it than
   there is: neither costs a round trip.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from application.ledger.errors import (
    Conflict,
    EndAnnounced,
    LedgerError,
    LedgerUnavailable,
    UnitRejected,
)
from application.ledger.link import Link
from application.ledger.log_epoch import LogEpoch
from application.ledger.pg_binary import (
    bytea_array,
    int8_array,
    read_int,
    read_uuid,
    text_array,
    uuid_array,
)
from application.ledger.recorder import recorded_positions
from application.ledger.wire import Answer, Statement

BATCH_UNITS = 256
EARLY_UNITS = 16
"""Fewer than these are worth no commit of their own: its cost is that of some ten tokens."""
RECONNECT_SECONDS = 0.1
DOUBT_SECONDS = 3.0
"""How long a lost answer may stay in doubt before its requests are answered 503."""

APPEND = Statement(
    "append",
    "SELECT CASE WHEN grantledger.log_is_followed($5, $6, $7)"
    " THEN grantledger.append_events($1, $2, $3, $4) END",
)
_APPEND_END = Statement(
    "append_end",
    "SELECT CASE WHEN grantledger.log_is_followed($6, $7, $8)"
    " THEN grantledger.append_end($1, $2, $3, $4, $5) END",
)
"""Each gives the position of the first event, NULL where the log is not the one followed."""
_LOCK = Statement("lock", "SELECT grantledger.close_position_hole()")
_READ_BACK = Statement(
    "read_back",
    "SELECT e.originator_id, e.originator_version, e.state, e.notification_id"
    " FROM unnest($1::uuid[], $2::bigint[]) AS wanted (id, version)"
    " JOIN grantledger.ledger_events e"
    " ON e.originator_id = wanted.id AND e.originator_version = wanted.version",
)

_ANOTHER_LOG = "the log is another than the one that this was decided upon"

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Unit:
    events: Sequence[StoredEvent]
    done: asyncio.Future[int]
    epoch: int
    announced_by: UUID | None = None

    def succeed(self, position: int) -> None:
        if not self.done.done():  # the request may have gone away meanwhile
            self.done.set_result(position)

    def fail(self, error: LedgerError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


_Started = tuple[list[_Unit], Answer]


@dataclass(slots=True)
class CommitCounts:
    """What the writer did so far; `lost` counts commits whose answer was lost."""

    commits: int = 0
    events: int = 0
    conflicts: int = 0
    lost: int = 0


class GroupCommit:
    """The writer of one process. Start it with `start` in the running event loop."""

    def __init__(self, link: Link, epoch: LogEpoch | None = None) -> None:
        self._link = link
        self._epoch = epoch or LogEpoch()
        self._epoch.on_change(self._refuse_waiting)
        self._queue: deque[_Unit] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away = False
        self._closing = False
        self._idle = False
        self._in_flight = 0
        self._started: _Started | None = None
        self.counts = CommitCounts()

    @property
    def available(self) -> bool:
        """Whether a unit handed in now would be tried."""
        return not self._away and not self._closing and self._epoch.open

    @property
    def waiting(self) -> int:
        """How many units wait for the commit that runs."""
        return len(self._queue)

    def start(self) -> None:
        """Start the writer task."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="group commit")

    async def close(self) -> None:
        """Commit what is queued, then stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        await self._link.drop()

    def submit(self, events: Sequence[StoredEvent]) -> asyncio.Future[int]:
        """Queue one unit; the future gives the position of its first event once it is durable.

        The future raises Conflict, UnitRejected or LedgerUnavailable. Raises LedgerUnavailable at
        once when PostgreSQL is known to be away.
        """
        if self._away or self._closing:
            raise LedgerUnavailable("PostgreSQL is away")
        epoch = self._epoch.require()  # 8
        done = asyncio.get_running_loop().create_future()
        self._queue.append(_Unit(events, done, epoch))
        if self._idle:
            if len(self._queue) >= max(EARLY_UNITS, self._in_flight // 2):
                self._start_at_once()  # 4
            self._wake.set()
        return done

    async def append(self, events: Sequence[StoredEvent]) -> int:
        """Record one unit and return the position of its first event; raises as `submit` does."""
        return await self.submit(events)

    async def append_end(self, holder: UUID, events: Sequence[StoredEvent]) -> int:
        """Record the end that `holder` announced, ahead of what is queued; returns and raises as
        `append` does.
        """
        if self._away or self._closing:
            raise LedgerUnavailable("PostgreSQL is away")
        epoch = self._epoch.require()  # 8
        unit = _Unit(events, asyncio.get_running_loop().create_future(), epoch, holder)
        self._queue.appendleft(unit)  # 7
        self._wake.set()
        return await unit.done

    async def _run(self) -> None:
        while True:
            if self._started is None and not self._queue:
                if self._closing:
                    return
                await self._rest()
                continue
            batch, answer = self._next()
            try:
                await self._commit(batch, answer=answer)
            except LedgerUnavailable as error:
                await self._wait_out(batch, error)
            except Exception:
                # The writer must outlive whatever one batch does to it, or nothing is issued again.
                _log.exception("a batch failed in an unforeseen way")
                _fail(batch, LedgerUnavailable("the batch could not be committed"))

    async def _rest(self) -> None:
        self._wake.clear()
        self._idle = True
        await self._wake.wait()
        self._idle = False

    def _start_at_once(self) -> None:
        batch = self._take_batch()
        answer = self._link.start(*self._statement(batch))
        if answer is None:
            self._queue.extendleft(reversed(batch))
        else:
            self._idle = False
            self._started = (batch, answer)

    def _next(self) -> "_Started | tuple[list[_Unit], None]":
        started, self._started = self._started, None
        found = started or (self._take_batch(), None)
        self._in_flight = len(found[0]) + len(self._queue)
        return found

    def _take_batch(self) -> list[_Unit]:
        batch: list[_Unit] = []
        streams: set[Any] = set()
        later: list[_Unit] = []
        while self._queue and len(batch) < BATCH_UNITS:
            unit = self._queue.popleft()
            if unit.announced_by is not None:  # 7
                if batch or later:
                    self._queue.appendleft(unit)
                else:
                    batch.append(unit)
                break
            touched = {event.originator_id for event in unit.events}
            if streams.isdisjoint(touched):
                batch.append(unit)
            else:
                later.append(unit)
            streams |= touched
        self._queue.extendleft(reversed(later))
        return batch

    async def _commit(
        self,
        batch: Sequence[_Unit],
        *,
        answer: Answer | None = None,
        doubted_until: float | None = None,
    ) -> None:
        if answer is None and not await self._still_followed(batch):
            return
        events = _events(batch)
        try:
            rows = await (
                self._link.finish(answer)
                if answer is not None
                else self._link.fetch(*self._statement(batch))
            )
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            if doubted_until is not None and await self._recorded_after_all(batch, events):
                return
            await self._isolate(batch, error, doubted_until=doubted_until)
        except (psycopg.Error, TimeoutError) as error:
            if self._link.up:  # the statement was refused: disk full, read-only, cancelled
                _log.warning("PostgreSQL refused a batch: %s", type(error).__name__)
                _fail(batch, LedgerUnavailable("PostgreSQL cannot record at the moment"))
                if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                    # A primary that became a standby: by another connection we may reach the new.
                    await self._link.drop()
            else:
                if doubted_until is not None:  # what breaks it does so at once, perhaps
                    await asyncio.sleep(RECONNECT_SECONDS)
                until = doubted_until or monotonic() + DOUBT_SECONDS
                await self._resolve_doubt(batch, events, error, until=until)
        else:
            if rows[0][0] is None:  # 8
                self._epoch.doubt("the log refuses to go on from what is known of it")
                _fail(batch, LedgerUnavailable(_ANOTHER_LOG))
                return
            self._succeed(batch, read_int(rows[0][0]))

    async def _still_followed(self, batch: Sequence[_Unit]) -> bool:
        """Fail the batch, and return False, where it was decided upon another log.

        Raises LedgerUnavailable where there is no connection to be had.
        """
        await self._link.connected()  # this may find another log at the old address
        if all(unit.epoch == self._epoch.number for unit in batch):  # 8
            return True
        _fail(batch, LedgerUnavailable(_ANOTHER_LOG))
        return False

    def _statement(self, batch: Sequence[_Unit]) -> tuple[Statement, tuple[bytes, ...]]:
        parameters = (*append_parameters(_events(batch)), *self._epoch.guard())
        holder = batch[0].announced_by
        return (
            (APPEND, parameters) if holder is None else (_APPEND_END, (holder.bytes, *parameters))
        )

    def _refuse_waiting(self) -> None:
        _fail(self._queue, LedgerUnavailable(_ANOTHER_LOG))
        self._queue.clear()

    async def _isolate(
        self, batch: Sequence[_Unit], error: psycopg.Error, *, doubted_until: float | None
    ) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._commit(batch[:middle], doubted_until=doubted_until)
            await self._commit(batch[middle:], doubted_until=doubted_until)
        elif isinstance(error, psycopg.errors.ExclusionViolation):
            self.counts.conflicts += 1
            batch[0].fail(EndAnnounced("an end of the stream is announced"))
        elif isinstance(error, psycopg.errors.UniqueViolation):
            self.counts.conflicts += 1
            batch[0].fail(Conflict("another writer was first"))
        else:
            _log.error("the store refused a unit: %s", type(error).__name__)
            batch[0].fail(UnitRejected("the store refused the unit"))

    async def _resolve_doubt(
        self,
        batch: Sequence[_Unit],
        events: Sequence[StoredEvent],
        cause: Exception,
        *,
        until: float,
    ) -> None:
        self.counts.lost += 1
        _log.warning(
            "the answer to a commit of %d events was lost (%s); reading back",
            len(events),
            type(cause).__name__,
        )
        while True:
            try:
                recorded = await self._recorded_after_all(batch, events)
                break
            except (LedgerUnavailable, psycopg.Error, TimeoutError) as error:
                if monotonic() >= until:
                    raise LedgerUnavailable("PostgreSQL did not come back in time") from error
                await asyncio.sleep(RECONNECT_SECONDS)
        if recorded:
            return
        if monotonic() >= until:
            raise LedgerUnavailable("PostgreSQL answers, but not to this batch") from cause
        # The lost attempt may still arrive before this one: its conflict is with itself.
        await self._commit(batch, doubted_until=until)

    async def _recorded_after_all(
        self, batch: Sequence[_Unit], events: Sequence[StoredEvent]
    ) -> bool:
        positions = await self._read_back(events)
        if positions is None:
            return False
        index = 0
        for unit in batch:
            unit.succeed(positions[index])
            index += len(unit.events)
        self._epoch.appended(positions[-1], events[-1])
        return True

    async def _read_back(self, events: Sequence[StoredEvent]) -> list[int] | None:
        # Under the lock: a backend that still works on the lost commit has finished by then.
        await self._link.fetch(_LOCK)
        found = await self._link.fetch(_READ_BACK, _keys(events))
        return recorded_positions(
            events,
            [
                (read_uuid(stream_id), read_int(version), state or b"", read_int(position))
                for stream_id, version, state, position in found
            ],
        )

    def _succeed(self, batch: Sequence[_Unit], first: int) -> None:
        position = first
        for unit in batch:
            unit.succeed(position)
            position += len(unit.events)
        self._epoch.appended(position - 1, batch[-1].events[-1])
        self.counts.commits += 1
        self.counts.events += position - first

    async def _wait_out(self, batch: Sequence[_Unit], error: LedgerUnavailable) -> None:
        self._away = True
        _fail(batch, error)
        _fail(self._queue, error)
        self._queue.clear()
        _log.error("PostgreSQL is away: nothing is issued until it returns")
        while not self._closing:
            try:
                await self._link.connected()
                break
            except LedgerUnavailable:
                await asyncio.sleep(RECONNECT_SECONDS)
            except Exception:
                _log.exception("connecting failed in an unforeseen way")
                await asyncio.sleep(RECONNECT_SECONDS)
        self._away = False
        _log.warning("PostgreSQL is back")


def _keys(events: Sequence[StoredEvent]) -> tuple[bytes, bytes]:
    return (
        uuid_array([cast("UUID", event.originator_id) for event in events]),
        int8_array([event.originator_version for event in events]),
    )


def append_parameters(events: Sequence[StoredEvent]) -> tuple[bytes, ...]:
    """Return the first parameters of APPEND; those of `LogEpoch.guard` follow."""
    return (
        *_keys(events),
        text_array([event.topic for event in events]),
        bytea_array([event.state for event in events]),
    )


def _events(batch: Sequence[_Unit]) -> list[StoredEvent]:
    return [event for unit in batch for event in unit.events]


def _fail(units: Sequence[_Unit] | deque[_Unit], error: LedgerUnavailable) -> None:
    for unit in units:
        unit.fail(error)
