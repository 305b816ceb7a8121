"""What was used last is kept, what was not used for longest goes: a mapping with bounded room."""

from collections import OrderedDict
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class RecentlyUsed(Generic[_K, _V]):
    """Up to `room` values by their keys; where they differ in weight, as many as weigh no more than
    `room` together. Looking one up or putting it there uses it.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._weight = 0
        self._values: OrderedDict[_K, tuple[_V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: _K) -> _V | None:
        """Return the value of `key`, None where it is not kept (any more)."""
        kept = self._values.get(key)
        if kept is None:
            return None
        self._values.move_to_end(key)
        return kept[0]

    def put(self, key: _K, value: _V, *, weight: int = 1) -> None:
        """Keep `value`; where there is no room, without those that were not used for longest."""
        _, replaced = self._values.pop(key, (None, 0))
        self._values[key] = (value, weight)
        self._weight += weight - replaced
        while self._weight > self._room:
            _, (_, gone) = self._values.popitem(last=False)
            self._weight -= gone
