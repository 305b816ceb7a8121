"""What was handed to the log without a clear answer, until a look at the log settles it.

Counts must add up: writing them again would double what was recorded after all, dropping them
would lose what was not.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar
from uuid import UUID

from application.ledger.errors import StreamUnreadable
from application.ports import EventLog
from domain.recorded import Recorded

T = TypeVar("T")


class Unsettled(Generic[T]):
    """Streams whose last version may or may not be recorded, each with what it carries."""

    def __init__(self) -> None:
        self._entries: list[tuple[UUID, int, T]] = []

    def add(self, stream: Recorded, carried: T) -> None:
        """Remember that the present version of `stream` is in doubt."""
        self._entries.append((stream.id, stream.version, carried))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[T]:
        return (carried for _, _, carried in self._entries)

    async def settle(self, log: EventLog) -> list[T]:
        """Return what certainly was not recorded, and forget what was. Raises LedgerUnavailable."""
        lost = []
        for stream_id, version, carried in self._entries:
            try:
                recorded = await log.settled(stream_id)
            except StreamUnreadable:
                # Nobody can tell any more: counted twice is better than not at all, and better than
                # that nothing of this kind is recorded again.
                recorded = None
            if recorded is None or recorded.version < version:
                lost.append(carried)
        # Only now: a look that fails half-way must forget nothing of what came before it.
        self._entries.clear()
        return lost
