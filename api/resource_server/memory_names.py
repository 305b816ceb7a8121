"""Names that count once, remembered by one process: for a resource server without a database.

Several processes of one resource each remember their own, so that a proof could be replayed once to
each of them within its minute; where that matters, share a store (application.used_names has one).
"""

from collections import deque
from datetime import datetime

from application.single_use import OUTLIVES


class MemoryNames:
    """Implements the UsedNames port; forgets what has expired."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, bytes], datetime] = {}
        self._order: deque[tuple[str, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._ends)

    async def use(self, kind: str, key: bytes, *, expires_at: datetime, now: datetime) -> bool:
        """Use a name; False where it was used before. See UsedNames for the arguments."""
        while self._order and self._ends[self._order[0]] <= now:
            del self._ends[self._order.popleft()]
        name = (kind, key)
        if name in self._ends and now < self._ends[name]:
            return False
        if name not in self._ends:
            self._order.append(name)
        self._ends[name] = expires_at + OUTLIVES
        return True
