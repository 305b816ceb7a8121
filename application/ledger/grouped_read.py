"""Grouped reads: the streams that were asked for while the last query ran come in one query.

Its events are bounded, and everybody who asks gets an equal share of them: long streams come in
parts, so that they take the event loop from nobody, be it one of them or hundreds.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from application.ledger.errors import LedgerUnavailable
from application.ledger.link import Link
from application.ledger.pg_binary import int8_array, read_int, read_uuid, uuid_array
from application.ledger.wire import Row, Statement

_READ = Statement(
    "read_streams",
    "SELECT e.originator_id, e.originator_version, e.topic, e.state"
    " FROM unnest($1::uuid[], $4::bigint[]) AS wanted (id, after)"
    # LATERAL: one look into the index a stream, whatever the planner thinks of the whole.
    " CROSS JOIN LATERAL (SELECT * FROM grantledger.ledger_events"
    " WHERE originator_id = wanted.id AND originator_version > wanted.after"
    # The bounds say again what the array says, in the form by which PostgreSQL skips partitions.
    " AND originator_id BETWEEN $2::uuid AND $3::uuid"
    " ORDER BY originator_version LIMIT $5::bigint) AS e",
)
QUERY_EVENTS = 1_024
"""What all who are answered at once fold together, one after the other: it keeps the others waiting
for some 30 ms.
"""
BATCH_STREAMS = 256
"""With the above: tokens, which have one or two events, never take a second query."""


class Part(NamedTuple):
    """Events of a stream, oldest first, and whether there may be more after them."""

    events: list[StoredEvent]
    more: bool


_Wanted = tuple[UUID, int, asyncio.Future[Part]]

_log = logging.getLogger(__name__)


def stored_event(row: Row) -> StoredEvent:
    """Return the event of a binary row: stream id, version, topic, state."""
    stream_id, version, topic, state = row[:4]
    assert topic is not None
    assert state is not None
    return StoredEvent(read_uuid(stream_id), read_int(version), topic.decode(), state)


class GroupedReader:
    """Reads streams, strongly consistent: what was committed before the call is seen."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._wanted: list[_Wanted] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the reader task."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="grouped read")

    async def close(self) -> None:
        """Stop; whoever still waits is told that the ledger is unavailable."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._answer_all(self._wanted, LedgerUnavailable("shutting down"))
        await self._link.drop()

    async def read(self, stream_id: UUID) -> list[StoredEvent]:
        """Return the events of a stream, oldest first, none where there is no such stream.

        Raises LedgerUnavailable when PostgreSQL does not answer.
        """
        return [stored async for part in self.parts(stream_id) for stored in part]

    async def parts(self, stream_id: UUID) -> AsyncIterator[list[StoredEvent]]:
        """Yield the events of a stream, oldest first, as many at a time as may be worked on before
        others have their turn. Raises LedgerUnavailable.
        """
        after, more = 0, True
        while more:
            events, more = await self.part(stream_id, after=after)
            if events:
                after = events[-1].originator_version
                yield events

    async def part(self, stream_id: UUID, *, after: int) -> Part:
        """Return events of a stream that follow version `after`. Raises LedgerUnavailable.

        None with more to come is an answer too: ask again.
        """
        answer: asyncio.Future[Part] = asyncio.get_running_loop().create_future()
        self._wanted.append((stream_id, after, answer))
        self._wake.set()
        return await answer

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            if not self._wanted:
                await self._wake.wait()
            batch, self._wanted = self._wanted[:BATCH_STREAMS], self._wanted[BATCH_STREAMS:]
            share = QUERY_EVENTS // len(batch)
            try:
                found = await self._fetch(_versions_known(batch), most=share)
            except asyncio.CancelledError:
                self._answer_all(batch, LedgerUnavailable("shutting down"))
                raise
            except (psycopg.Error, TimeoutError, LedgerUnavailable):
                self._answer_all(batch, LedgerUnavailable("PostgreSQL cannot be read"))
                continue
            except Exception:
                # The reader must outlive whatever one batch does to it, or all reads hang.
                _log.exception("a read failed in an unforeseen way")
                self._answer_all(batch, LedgerUnavailable("the streams could not be read"))
                continue
            for stream_id, after, answer in batch:
                if not answer.done():
                    events = found.get(stream_id, [])
                    more = len(events) == share
                    if after:  # somebody else may have asked for what is before
                        events = [one for one in events if one.originator_version > after]
                    answer.set_result(Part(events, more))

    async def _fetch(
        self, known: Mapping[UUID, int], *, most: int
    ) -> dict[UUID | str, list[StoredEvent]]:
        stream_ids = sorted(known)
        rows = await self._link.fetch(
            _READ,
            (
                uuid_array(stream_ids),
                stream_ids[0].bytes,
                stream_ids[-1].bytes,
                int8_array([known[stream_id] for stream_id in stream_ids]),
                most.to_bytes(8, "big"),
            ),
        )
        found: dict[UUID | str, list[StoredEvent]] = {}
        for row in rows:
            stored = stored_event(row)
            found.setdefault(stored.originator_id, []).append(stored)
        return found

    @staticmethod
    def _answer_all(batch: Sequence[_Wanted], error: LedgerUnavailable) -> None:
        for _, _, answer in batch:
            if not answer.done():
                answer.set_exception(error)


def _versions_known(batch: Sequence[_Wanted]) -> dict[UUID, int]:
    known: dict[UUID, int] = {}
    for stream_id, after, _ in batch:
        known[stream_id] = min(after, known.get(stream_id, after))
    return known
