"""Grouped reads: the streams that were asked for while the last query ran come in one query."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from application.ledger.errors import LedgerUnavailable
from application.ledger.link import Link

READ_STREAMS = (
    "SELECT originator_id, originator_version, topic, state"
    " FROM grantledger.ledger_events WHERE originator_id = ANY(%b::uuid[])"
    # The bounds say again what the array says, in the form by which PostgreSQL skips partitions.
    " AND originator_id BETWEEN %b AND %b"
    " ORDER BY originator_id, originator_version"
)
BATCH_STREAMS = 256


class GroupedReader:
    """Reads whole streams, strongly consistent: what was committed before the call is seen."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._wanted: list[tuple[UUID, asyncio.Future[list[StoredEvent]]]] = []
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
        answer: asyncio.Future[list[StoredEvent]] = asyncio.get_running_loop().create_future()
        self._wanted.append((stream_id, answer))
        self._wake.set()
        return await answer

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            if not self._wanted:
                await self._wake.wait()
            batch, self._wanted = self._wanted[:BATCH_STREAMS], self._wanted[BATCH_STREAMS:]
            try:
                found = await self._fetch(sorted({stream_id for stream_id, _ in batch}))
            except (psycopg.Error, TimeoutError, LedgerUnavailable):
                self._answer_all(batch, LedgerUnavailable("PostgreSQL cannot be read"))
                continue
            for stream_id, answer in batch:
                if not answer.done():
                    answer.set_result(found.get(stream_id, []))

    async def _fetch(self, stream_ids: Sequence[UUID]) -> dict[UUID, list[StoredEvent]]:
        rows = await self._link.fetch(
            READ_STREAMS, (list(stream_ids), stream_ids[0], stream_ids[-1])
        )
        found: dict[UUID, list[StoredEvent]] = {}
        for stream_id, version, topic, state in rows:
            found.setdefault(stream_id, []).append(StoredEvent(stream_id, version, topic, state))
        return found

    @staticmethod
    def _answer_all(
        batch: Sequence[tuple[UUID, asyncio.Future[list[StoredEvent]]]], error: LedgerUnavailable
    ) -> None:
        for _, answer in batch:
            if not answer.done():
                answer.set_exception(error)
