"""Waiting for a condition with a deadline: what tests do instead of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, sleep

_PAUSE_SECONDS = 0.01


def eventually(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    """Return once `condition` holds. Raises AssertionError when it does not within `seconds`."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"not so within {seconds} s: {condition}"
        sleep(_PAUSE_SECONDS)


async def eventually_async(
    condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 5
) -> None:
    """Return once `condition` holds, plain or awaitable; the event loop runs on meanwhile.

    Raises AssertionError when it does not hold within `seconds`.
    """
    deadline = monotonic() + seconds
    while True:
        holds = condition()
        if isinstance(holds, Awaitable):
            holds = await holds
        if holds:
            return
        assert monotonic() < deadline, f"not so within {seconds} s: {condition}"
        await asyncio.sleep(_PAUSE_SECONDS)
