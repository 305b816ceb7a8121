"""Turns: one after the other on the same stream, side by side on others, and nothing left over."""

import asyncio

from application.turns import Turns
from tests.builders import stream_id


async def test_one_after_the_other() -> None:
    """Whoever wants the same stream waits; another stream does not."""
    turns, stream, other = Turns(), stream_id(), stream_id()
    holding, going_on = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def first() -> None:
        async with turns.of(stream):
            holding.set()
            await going_on.wait()
            order.append("first")

    async def second() -> None:
        await holding.wait()
        async with turns.of(stream):
            order.append("second")

    async def third() -> None:
        await holding.wait()
        async with turns.of(other):
            order.append("other stream")
        going_on.set()

    await asyncio.gather(first(), second(), third())

    assert order == ["other stream", "first", "second"]
    assert len(turns._turns) == 0


async def test_a_failure_gives_the_turn_away() -> None:
    """An error inside of a turn leaves nobody waiting."""
    turns, stream = Turns(), stream_id()
    try:
        async with turns.of(stream):
            raise ValueError
    except ValueError:
        pass
    async with asyncio.timeout(1), turns.of(stream):
        pass

    assert len(turns._turns) == 0


async def test_an_end_goes_first() -> None:
    """However many uses of a stream wait, an end has at most one of them before it."""
    turns, stream = Turns(), stream_id()
    order: list[str] = []

    async def use(number: int) -> None:
        async with turns.of(stream):
            await asyncio.sleep(0)
            order.append(f"use {number}")

    async def end() -> None:
        turn = turns.of(stream)
        async with turn.stream:
            order.append("end")

    using = [asyncio.create_task(use(number)) for number in range(20)]
    await asyncio.sleep(0)
    await end()
    await asyncio.gather(*using)

    assert order.index("end") <= 2
    assert len(order) == 21
    del using
    assert len(turns._turns) == 0


async def test_a_use_that_is_cancelled_while_it_waits() -> None:
    """A use that is given up while it waits leaves its place to the next."""
    turns, stream = Turns(), stream_id()
    turn = turns.of(stream)

    async def use() -> None:
        async with turns.of(stream):
            pass

    async with turn.stream:
        waiting = asyncio.create_task(use())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async with asyncio.timeout(1), turns.of(stream):
        pass
