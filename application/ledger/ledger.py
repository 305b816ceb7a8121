"""The ledger as the use cases see it: load an aggregate, save what was decided as one unit.

What was loaded is kept as of the version that was read, and the next load asks for what is newer.
Events never change, so that what is kept is never wrong, only old; where the log itself goes back,
all of it goes (application.ledger.log_epoch).
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from eventsourcing.domain import CanMutateAggregate
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from application.ledger.announced_ends import AnnouncedEnds
from application.ledger.errors import Conflict, LedgerUnavailable, StreamUnreadable
from application.ledger.group_commit import GroupCommit
from application.ledger.grouped_read import GroupedReader
from application.ledger.link import Link
from application.ledger.log_epoch import LogEpoch
from application.ledger.mapper import LedgerMapper
from application.recently_used import RecentlyUsed
from domain.recorded import Recorded, fold

LONG_FROM_VERSION = 8
"""Streams of as many events are kept apart, so that many short ones do not push them out."""
KEPT_LONG_BYTES = 64_000_000
"""What those may take together: some 14,000 families with ten living tokens, or the 300 largest.

A family with 1, 100 and 1,000 living tokens was measured to take 1.7, 31 and 205 KB (Python 3.11):
its number of events says nothing about that, nor does it become lighter until it is used again.
"""
AGGREGATE_BYTES = 2_000
ITEM_BYTES = 200
"""Of each item of its collections: for a token that is its id, its end and the two together."""
KEPT_SHORT = 1024
SHARED_SECONDS = 60.0
"""How long nothing is built on what was not read anew once another process was found to be faster:
each conflict costs a commit, and where requests go to any replica most of it would be old.
"""

_Shelf = RecentlyUsed[UUID, Recorded]
_log = logging.getLogger(__name__)


class Ledger:
    """The event log, written and read in groups by one process."""

    def __init__(self, database_url: str, *, mapper: LedgerMapper | None = None) -> None:
        self.mapper = mapper or LedgerMapper()
        self.epoch = LogEpoch()
        self.writer = GroupCommit(
            Link(
                database_url,
                name="writer",
                on_connect=("SELECT grantledger.close_position_hole()",),
                epoch=self.epoch,
            ),
            self.epoch,
        )
        self.reader = GroupedReader(Link(database_url, name="reader", epoch=self.epoch))
        self._forget()
        self.epoch.on_change(self._forget)
        self._ends = AnnouncedEnds(Link(database_url, name="ends", epoch=self.epoch))
        self._shared_until = 0.0

    async def __aenter__(self) -> "Ledger":
        self.writer.start()
        self.reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.writer.close()
        await self.reader.close()
        await self._ends.close()

    @property
    def generation(self) -> int:
        """A number that changes whenever the log turns out to be another, or to have gone back."""
        return self.epoch.number

    async def save(self, *aggregates: Recorded) -> int:
        """Record the undecided facts of `aggregates` as one unit; return the first position.

        Raises Conflict, UnitRejected, LedgerUnavailable, and Unrecordable (of application.errors)
        for a fact that the log or its read models cannot hold. Saves nothing and returns 0 where
        nothing was decided.
        """
        return await self._save(aggregates, self.writer.append)

    async def announce(self, holder: UUID, streams: Iterable[UUID]) -> None:
        """Keep every `save` off `streams` for the end `holder`. Raises LedgerUnavailable."""
        await self._ends.announce(holder, streams)

    async def save_end(self, holder: UUID, *aggregates: Recorded) -> int:
        """Record as `save` does, whatever is announced, and withdraw what `holder` announced."""
        return await self._save(aggregates, partial(self.writer.append_end, holder))

    async def withdraw(self, holder: UUID) -> None:
        """Take back what `holder` announced. Raises LedgerUnavailable."""
        await self._ends.withdraw(holder)

    async def _save(
        self,
        aggregates: Sequence[Recorded],
        append: Callable[[Sequence[StoredEvent]], Awaitable[int]],
    ) -> int:
        epoch = self.epoch.require()
        facts = [fact for aggregate in aggregates for fact in aggregate.facts()]
        if not facts:
            return 0
        # Copied before waiting: whoever decided may go on with what it has.
        followed = [one.copied() for one in aggregates if self._follows(one)]
        try:
            position = await append([self.mapper.to_stored_event(fact) for fact in facts])
        except Conflict:
            self._shared_until = monotonic() + SHARED_SECONDS
            raise
        if epoch != self.epoch.number:
            # It may be recorded in what is lost: nothing is handed out for it.
            raise LedgerUnavailable("the log turned out to be another while it was written")
        for aggregate in followed:
            self._keep(aggregate)
        return position

    async def load(self, stream_id: UUID) -> Any:
        """Return the aggregate of a stream as of now, None where there is none.

        Raises LedgerUnavailable, of which StreamUnreadable is a kind.
        """
        epoch = self.epoch.require()
        kept = self._kept(stream_id)
        aggregate: Any = kept.copied() if kept is not None else None
        version = kept.version if kept is not None else 0
        more = True
        while more:
            newer, more = await self.reader.part(stream_id, after=version)
            if epoch != self.epoch.number:
                raise LedgerUnavailable("the log turned out to be another while it was read")
            if not newer:
                continue
            version = newer[-1].originator_version
            aggregate = self._folded(stream_id, newer, since=aggregate)
            if isinstance(aggregate, Recorded):
                # Each part: who gives up on a long stream has not read for nothing.
                self._keep(aggregate.copied())
        return aggregate

    def _folded(self, stream_id: UUID, newer: Sequence[StoredEvent], *, since: Any) -> Any:
        try:
            return fold([self.mapper.to_domain_event(stored) for stored in newer], since=since)
        except MemoryError:
            raise
        except Exception as error:
            # Without the event that is lost the aggregate would be another: perhaps one that was
            # revoked, as if it never had been.
            _log.exception("the stream %s cannot be read", stream_id)
            raise StreamUnreadable(f"the stream {stream_id} cannot be read") from error

    async def settled(self, stream_id: UUID) -> Any:
        """Return the aggregate of a stream once no save that was given up can still arrive.

        Raises LedgerUnavailable until then: a writer that is back has had the lock that a backend
        still working on a lost commit held.
        """
        if not self.writer.available:
            raise LedgerUnavailable("a commit that was given up may still arrive")
        return await self.load(stream_id)

    def recent(self, stream_id: UUID) -> Any:
        """Return the aggregate as of when this process last loaded or saved it, None where that is
        long ago or other processes write the same streams. It may be old: decide upon it only what
        `save` refuses then, with a Conflict.
        """
        if monotonic() < self._shared_until or not self.epoch.open:
            return None
        kept = self._kept(stream_id)
        return kept.copied() if kept is not None else None

    def _forget(self) -> None:
        self._long: _Shelf = RecentlyUsed(KEPT_LONG_BYTES)
        self._short: _Shelf = RecentlyUsed(KEPT_SHORT)

    def _follows(self, decided: Recorded) -> bool:
        begun = decided.version == decided.INITIAL_VERSION  # as most are that pass here: tokens
        return not begun and self._kept(decided.id) is not None

    def _kept(self, stream_id: UUID) -> Recorded | None:
        return self._long.get(stream_id) or self._short.get(stream_id)

    def _keep(self, aggregate: Recorded) -> None:
        present = self._kept(aggregate.id)
        if present is None or present.version < aggregate.version:
            if aggregate.version >= LONG_FROM_VERSION:
                self._long.put(aggregate.id, aggregate, weight=_weight(aggregate))
            else:
                self._short.put(aggregate.id, aggregate)

    async def events(self, stream_id: UUID) -> Sequence[CanMutateAggregate[UUID]]:
        """Return the events of a stream, oldest first. Raises LedgerUnavailable."""
        try:
            return [
                self.mapper.to_domain_event(stored)
                async for part in self.reader.parts(stream_id)
                for stored in part
            ]
        except MapperDeserialisationError as error:
            raise StreamUnreadable(f"the stream {stream_id} cannot be read") from error

    async def stored(self, stream_id: UUID) -> Sequence[StoredEvent]:
        """Return the stored events of a stream, oldest first. Raises LedgerUnavailable."""
        return await self.reader.read(stream_id)


def _weight(aggregate: Recorded) -> int:
    """Return roughly how many bytes the aggregate takes: cheaply, since each save asks."""
    values = vars(aggregate).values()
    items = sum(len(value) for value in values if isinstance(value, (tuple, dict)))
    return AGGREGATE_BYTES + ITEM_BYTES * items
