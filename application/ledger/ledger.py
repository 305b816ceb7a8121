"""The ledger as the use cases see it: load an aggregate, save what was decided as one unit.

A long stream is read once: its aggregate is kept as of the version that was read, and the next load
asks for what is newer. Events never change, so that what is kept is never wrong, only old.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.domain import CanMutateAggregate
from eventsourcing.persistence import StoredEvent

from application.ledger.group_commit import GroupCommit
from application.ledger.grouped_read import GroupedReader
from application.ledger.link import Link
from application.ledger.mapper import LedgerMapper
from domain.recorded import Recorded, fold

KEPT_FROM_VERSION = 8
"""Shorter streams cost no more to read than to keep."""
KEPT = 4096


class Ledger:
    """The event log, written and read in groups by one process."""

    def __init__(self, database_url: str, *, mapper: LedgerMapper | None = None) -> None:
        self.mapper = mapper or LedgerMapper()
        self.writer = GroupCommit(
            Link(
                database_url,
                name="writer",
                on_connect=("SELECT grantledger.close_position_hole()",),
            )
        )
        self.reader = GroupedReader(Link(database_url, name="reader"))
        self._kept: OrderedDict[UUID, Recorded] = OrderedDict()

    async def __aenter__(self) -> "Ledger":
        self.writer.start()
        self.reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.writer.close()
        await self.reader.close()

    async def save(self, *aggregates: Recorded) -> int:
        """Record the undecided facts of `aggregates` as one unit; return the first position.

        Raises Conflict, UnitRejected or LedgerUnavailable. Saves nothing and returns 0 where
        nothing was decided.
        """
        facts = [fact for aggregate in aggregates for fact in aggregate.facts()]
        if not facts:
            return 0
        return await self.writer.append([self.mapper.to_stored_event(fact) for fact in facts])

    async def load(self, stream_id: UUID) -> Any:
        """Return the aggregate of a stream as of now, None where there is none.

        Raises LedgerUnavailable.
        """
        kept = self._kept.get(stream_id)
        known = kept.version if kept is not None else 0
        newer = [
            self.mapper.to_domain_event(stored)
            for stored in await self.reader.read(stream_id, after=known)
        ]
        aggregate = fold(newer, since=kept.copied() if kept is not None else None)
        if isinstance(aggregate, Recorded) and aggregate.version >= KEPT_FROM_VERSION:
            self._keep(aggregate)
        return aggregate

    def _keep(self, aggregate: Recorded) -> None:
        present = self._kept.get(aggregate.id)
        if present is None or present.version < aggregate.version:
            self._kept[aggregate.id] = aggregate.copied()
        self._kept.move_to_end(aggregate.id)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def events(self, stream_id: UUID) -> Sequence[CanMutateAggregate[UUID]]:
        """Return the events of a stream, oldest first. Raises LedgerUnavailable."""
        return [self.mapper.to_domain_event(stored) for stored in await self.stored(stream_id)]

    async def stored(self, stream_id: UUID) -> Sequence[StoredEvent]:
        """Return the stored events of a stream, oldest first. Raises LedgerUnavailable."""
        return await self.reader.read(stream_id)
