"""Grouped reads: the streams that were asked for while the last query ran come in one query."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from application.ledger.errors import LedgerUnavailable
from application.ledger.link import Link
from application.ledger.pg_binary import int8_array, read_int, read_uuid, uuid_array
from application.ledger.wire import Row, Statement

_READ_STREAMS = Statement(
    "read_streams",
    "SELECT originator_id, originator_version, topic, state"
    " FROM grantledger.ledger_events WHERE originator_id = ANY($1::uuid[])"
    # The bounds say again what the array says, in the form by which PostgreSQL skips partitions.
    " AND originator_id BETWEEN $2::uuid AND $3::uuid"
    " ORDER BY originator_id, originator_version",
)
_READ_NEWER = Statement(
    "read_newer",
    "SELECT e.originator_id, e.originator_version, e.topic, e.state"
    " FROM unnest($1::uuid[], $4::bigint[]) AS wanted (id, after)"
    # LATERAL: one look into the index a stream, whatever the planner thinks of the whole.
    " CROSS JOIN LATERAL (SELECT * FROM grantledger.ledger_events"
    " WHERE originator_id = wanted.id AND originator_version > wanted.after"
    " AND originator_id BETWEEN $2::uuid AND $3::uuid ORDER BY originator_version) AS e",
)
BATCH_STREAMS = 256

_Wanted = tuple[UUID, int, asyncio.Future[list[StoredEvent]]]

_log = logging.getLogger(__name__)


def stored_event(row: Row) -> StoredEvent:
    """Return the event of a binary row: stream id, version, topic, state."""
    stream_id, version, topic, state = row[:4]
    assert topic is not None
    assert state is not None
    return StoredEvent(read_uuid(stream_id), read_int(version), topic.decode(), state)


class GroupedReader:
    """Reads whole streams, strongly consistent: what was committed before the call is seen."""

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

    async def read(self, stream_id: UUID, *, after: int = 0) -> list[StoredEvent]:
        """Return the events of a stream, oldest first, none where there is no such stream.

        `after` leaves out the versions up to that one. Raises LedgerUnavailable when PostgreSQL
        does not answer.
        """
        answer: asyncio.Future[list[StoredEvent]] = asyncio.get_running_loop().create_future()
        self._wanted.append((stream_id, after, answer))
        self._wake.set()
        return await answer

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            if not self._wanted:
                await self._wake.wait()
            batch, self._wanted = self._wanted[:BATCH_STREAMS], self._wanted[BATCH_STREAMS:]
            try:
                found = await self._fetch(_versions_known(batch))
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
                    if after:
                        events = [one for one in events if one.originator_version > after]
                    answer.set_result(events)

    async def _fetch(self, known: Mapping[UUID, int]) -> dict[UUID | str, list[StoredEvent]]:
        stream_ids = sorted(known)
        wanted = (uuid_array(stream_ids), stream_ids[0].bytes, stream_ids[-1].bytes)
        if any(known.values()):
            versions = int8_array([known[stream_id] for stream_id in stream_ids])
            rows = await self._link.fetch(_READ_NEWER, (*wanted, versions))
        else:
            rows = await self._link.fetch(_READ_STREAMS, wanted)
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
