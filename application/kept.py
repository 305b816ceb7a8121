"""A value that is fetched from elsewhere and kept: not asked for anew each time, nor for too long.

Fresh for as long as the answer's own headers say, within bounds. Where it cannot be fetched anew
the old one serves on for a while: a service that is briefly away breaks nothing here. One caller
fetches, the others wait for it; whoever can do with what is fresh waits for nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from application.outbound import OutboundError

FRESH = timedelta(hours=1)
"""Where the answer says nothing."""
MIN_FRESH = timedelta(minutes=1)
MAX_FRESH = timedelta(days=1)
RETRY = timedelta(minutes=1)
_T = TypeVar("_T")


class Kept(Generic[_T]):
    """One value. `fetch` returns it with the time that it stays fresh, None where nobody says;
    `stale` is how long after that it serves where it cannot be fetched. Where there is nothing to
    serve, a failure is answered with for `pause`: whoever may ask unasked must not make us ask.
    """

    def __init__(
        self,
        fetch: Callable[[datetime], Awaitable[tuple[_T, timedelta | None]]],
        *,
        stale: timedelta,
        pause: timedelta = timedelta(0),
    ) -> None:
        self._fetch = fetch
        self._stale = stale
        self._pause = pause
        self._failure: OutboundError | None = None
        self._turn = asyncio.Lock()
        self._kept: tuple[_T, datetime, timedelta] | None = None
        self._tried: datetime | None = None

    @property
    def under_way(self) -> bool:
        """Whether somebody fetches the value at the moment."""
        return self._turn.locked()

    def fresh(self, now: datetime) -> bool:
        """Tell whether the value is at hand and needs not be fetched."""
        return self._usable(now, timedelta(0)) is not None

    async def value(self, now: datetime) -> _T:
        """Return the value, fresh unless it cannot be fetched. Raises OutboundError."""
        kept = self._usable(now, timedelta(0))
        if kept is not None:
            return kept[0]
        async with self._turn:
            kept = self._usable(now, timedelta(0))
            return kept[0] if kept is not None else await self._renewed(now)

    async def newer(self, now: datetime) -> _T:
        """Return the value fetched at most a minute ago, or tried to. Raises OutboundError."""
        async with self._turn:
            return await self._renewed(now)

    async def _renewed(self, now: datetime) -> _T:
        kept = self._usable(now, self._stale)
        recently = self._tried is not None and _within(now, self._tried, RETRY)
        if kept is not None and recently:
            return kept[0]
        paused = self._tried is not None and _within(now, self._tried, self._pause)
        if self._failure is not None and paused:
            raise type(self._failure)(self._failure.reason)
        self._tried, self._failure = now, None
        try:
            value, fresh = await self._fetch(now)
        except OutboundError as failure:
            if kept is None:
                self._failure = failure
                raise
            return kept[0]
        bounded = FRESH if fresh is None else min(max(fresh, MIN_FRESH), MAX_FRESH)
        self._kept = (value, now, bounded)
        return value

    def _usable(self, now: datetime, longer: timedelta) -> tuple[_T, datetime, timedelta] | None:
        if self._kept is not None and _within(now, self._kept[1], self._kept[2] + longer):
            return self._kept
        return None


def _within(now: datetime, since: datetime, period: timedelta) -> bool:
    # A clock that was put back must not make anything good for longer.
    return timedelta(0) <= now - since < period
