"""Windows of rate limits, counted in this process: what the library's strategies count in.

Not the library's own memory: that looks through every key it holds with each hit (measured: 46 us a
hit with 100 keys, 3.1 ms with 20,000) and keeps as many as anybody makes it keep. Here a hit costs
the same however many there are, and there are at most MOST: past that the oldest windows are
forgotten, so that a flood from many addresses costs memory no more than it lets one of them on.
"""

from collections import OrderedDict
from dataclasses import dataclass

from limits.aio.storage import Storage

from application.ports import Clock

MOST = 50_000


STEP_SECONDS = 5
"""By how much clocks are put right, and those of replicas are apart, with nothing being wrong."""


@dataclass(slots=True)
class _Window:
    hits: int
    ends_at: float
    seconds: float


class MemoryWindows(Storage):
    """Fixed windows: the first hit opens one, and it ends `expiry` seconds later."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, *, most: int = MOST) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._windows: OrderedDict[str, _Window] = OrderedDict()  # the oldest first

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Nothing can fail."""
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` hits and return how many the window has."""
        window = self._living(key)
        if window is None:
            self._make_room()
            window = self._windows[key] = _Window(0, self._now() + expiry, expiry)
        window.hits += amount
        return window.hits

    async def get(self, key: str) -> int:
        """Return the hits of a window, 0 where there is none."""
        window = self._living(key)
        return window.hits if window else 0

    async def get_expiry(self, key: str) -> float:
        """Return when a window ends, in seconds since 1970; now where there is none."""
        window = self._living(key)
        return window.ends_at if window else self._now()

    async def check(self) -> bool:
        """Tell whether hits can be counted."""
        return True

    async def reset(self) -> int:
        """Forget every window and return how many there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one window."""
        self._windows.pop(key, None)

    def _living(self, key: str) -> _Window | None:
        window = self._windows.get(key)
        if window is None:
            return None
        # One that has longer to go than it lasts was opened before the clock was put back; by a
        # little it always is, and nobody may get a new window for that.
        if not 0 < window.ends_at - self._now() <= window.seconds + STEP_SECONDS:
            del self._windows[key]
            return None
        return window

    def _make_room(self) -> None:
        now = self._now()
        while self._windows:
            oldest = next(iter(self._windows.values()))
            if oldest.ends_at > now and len(self._windows) < self._most:
                return
            self._windows.popitem(last=False)

    def _now(self) -> float:
        return self._clock.now().timestamp()
