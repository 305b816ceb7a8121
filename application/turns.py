"""One after the other, for those who want the same stream in one process.

Not for correctness: versions decide. But sixty uses of one refresh token at once would otherwise
meet sixty conflicts, and each conflict costs a commit.

Ends go first. Uses wait in a queue of their own, and one of them at a time waits for the stream
itself: an end has at most one use before it, however many clients repeat themselves in a loop. A
use that starts again after a conflict takes its place in both anew: behind an end that waits, and
behind every other use, because one of those may turn out to be a reuse that ends the stream.
"""

from asyncio import Lock
from types import TracebackType
from uuid import UUID
from weakref import WeakValueDictionary


class Turn:
    """The turn of one stream.

    `async with turn` is for a use that is tried once. A use that tries again holds `queue` for each
    attempt and for the moment that it stands back, and `stream` for the attempt. An end takes
    `stream` alone.
    """

    def __init__(self) -> None:
        self.queue = Lock()
        self.stream = Lock()

    async def __aenter__(self) -> None:
        await self.queue.acquire()
        try:
            await self.stream.acquire()
        except BaseException:
            self.queue.release()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stream.release()
        self.queue.release()


class Turns:
    """Turns by stream id; one that nobody holds or waits for takes no memory."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[UUID, Turn] = WeakValueDictionary()

    def of(self, stream_id: UUID) -> Turn:
        """Return the turn of this stream: `async with` waits for it, and holds it."""
        turn = self._turns.get(stream_id)
        if turn is None:
            turn = self._turns[stream_id] = Turn()
        return turn
