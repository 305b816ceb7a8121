"""A clock that somebody sets, while tokens are issued by it."""

import asyncio

from tests.faults.fault import unnoticed_fault
from tests.faults.stage import Stage


@unnoticed_fault
async def clock_back(stage: Stage) -> None:
    """The clock steps back by ten minutes, and then to where it was."""
    await _stepping(stage, -600)


@unnoticed_fault
async def clock_forward(stage: Stage) -> None:
    """The clock steps forward by an hour, and then to where it was."""
    await _stepping(stage, 3600)


async def _stepping(stage: Stage, seconds: float) -> None:
    for moved in (seconds, 0):
        # Twice: a request that is under way meanwhile may be answered by either clock.
        stage.crowd.books.era += 1
        stage.service.move_clock(moved)
        stage.crowd.books.era += 1
        await asyncio.sleep(stage.seconds / 2)
    stage.ends()
