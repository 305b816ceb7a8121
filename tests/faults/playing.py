"""How a fault is played: clients at work before, during and after it, then the verification."""

import asyncio
from time import monotonic

from tests.faults.fault import Fault, NotHere, Outcome
from tests.faults.stage import Stage
from tests.faults.verification import problems


async def play(fault: Fault, stage: Stage) -> Outcome:
    """Play `fault` and return what came of it, problems and all."""
    crowd, found, back = stage.crowd, list[str](), 0.0
    async with crowd:
        try:
            await crowd.all_served_since(monotonic())
            await fault.play(stage)
            back = await crowd.all_served_since(stage.over)
        except NotHere as reason:
            return Outcome(fault.name, skipped=str(reason))
        except AssertionError as failed:
            found.append(str(failed))
    await stage.follower.read_on()
    held, answers = crowd.books.held, crowd.books.answers
    found += crowd.books.wrong
    if fault.unnoticed and answers["503"] + answers["cut"]:
        found.append(f"{answers['503']} requests were refused and {answers['cut']} cut off")
    found += await asyncio.to_thread(problems, stage.url, held.values(), stage.follower.positions)
    return Outcome(fault.name, answers, len(held), back, tuple(dict.fromkeys(found)))
