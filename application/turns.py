"""One after the other, for those who want the same stream in one process.

Not for correctness: versions decide. But sixty uses of one refresh token at once would otherwise
meet sixty conflicts, and each conflict costs a commit.
"""

from asyncio import Lock
from uuid import UUID
from weakref import WeakValueDictionary


class Turns:
    """Locks by stream id; one that nobody holds or waits for takes no memory."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[UUID, Lock] = WeakValueDictionary()

    def of(self, stream_id: UUID) -> Lock:
        """Return the turn of this stream: `async with` waits for it, and holds it."""
        lock = self._locks.get(stream_id)
        if lock is None:
            lock = self._locks[stream_id] = Lock()
        return lock
