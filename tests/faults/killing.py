"""Processes of ours that end at once, without a chance to say so."""

import asyncio

from tests.faults.fault import fault, unnoticed_fault
from tests.faults.stage import Stage
from tests.waiting import eventually_async

_PAUSE_SECONDS = 2.0


@fault
async def workers_killed(stage: Stage) -> None:
    """SIGKILL of one API worker, then of the other, then of both."""
    for count in (1, 1, 2):
        await eventually_async(lambda: len(stage.service.workers()) == 2, seconds=30)
        for worker in stage.service.workers()[:count]:
            worker.kill()
        await asyncio.sleep(_PAUSE_SECONDS)
    stage.ends()


@fault
async def service_killed(stage: Stage) -> None:
    """SIGKILL of the whole service, and a start on the same directory."""
    await asyncio.to_thread(stage.service.kill)
    await asyncio.sleep(_PAUSE_SECONDS)
    await asyncio.to_thread(stage.service.start)
    stage.ends()


@unnoticed_fault
async def projector_killed(stage: Stage) -> None:
    """SIGKILL of the process that builds the read models, in the middle of its batches."""
    for _ in range(4):
        await eventually_async(lambda: len(stage.service.projectors()) == 1, seconds=10)
        await asyncio.sleep(1.5)  # it is up, and at work
        for projector in stage.service.projectors():
            projector.kill()
    await eventually_async(lambda: len(stage.service.projectors()) == 1, seconds=10)
    stage.ends()
