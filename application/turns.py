"""One after the other, for those who want the same stream in one process.

Not for correctness: versions decide. But sixty uses of one refresh token at once would otherwise
meet sixty conflicts, and each conflict costs a commit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class Turns:
    """Locks by stream id; one that nobody waits for takes no memory."""

    def __init__(self) -> None:
        self._locks: dict[UUID, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, stream_id: UUID) -> AsyncIterator[None]:
        """Wait for the turn of this stream, and hold it."""
        lock, waiting = self._locks.get(stream_id) or (asyncio.Lock(), 0)
        self._locks[stream_id] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks[stream_id]
            if waiting == 1:
                del self._locks[stream_id]
            else:
                self._locks[stream_id] = (lock, waiting - 1)
