"""Long questions to the read models are bounded, and leave room for the short ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg.sql import SQL

from api.read_models import ReadModels, TookTooLong
from application.errors import InvalidRequest
from projections.query import Asking, Query


def _long(seconds: float) -> Asking[int]:
    slept = yield Query(
        SQL("SELECT pg_sleep(%(seconds)s)::text AS slept"), {"seconds": seconds}, lambda **_: None
    )
    return len(slept)


@asynccontextmanager
async def _read_models(database_url: str) -> AsyncIterator[ReadModels]:
    read_models = ReadModels(database_url)
    try:
        yield read_models
    finally:
        await read_models.close()


async def test_a_statement_is_stopped(database_url: str) -> None:
    """What takes longer than it may is not waited for, and what is quick is answered after it."""
    async with _read_models(database_url) as read_models:
        with pytest.raises(TookTooLong):
            await read_models.answered_at_once(_long(60), seconds=0.1)

        assert await read_models.answered_at_once(_long(0), seconds=10) == 1


async def test_long_questions_leave_room(database_url: str) -> None:
    """However many ask at length, readiness is answered; whoever's turn does not come is told."""
    async with _read_models(database_url) as read_models:
        asked = [
            asyncio.create_task(read_models.answered_at_once(_long(60), seconds=2))
            for _ in range(12)
        ]
        await asyncio.sleep(0)  # they begin

        assert await read_models.projection_status()
        assert not any(task.done() for task in asked)
        answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(answer) for answer in answers] == [TookTooLong] * 12


async def test_a_wide_question_is_stopped(database_url: str) -> None:
    """Whoever asks too widely is told to narrow it, and readiness never waited for that."""
    read_models = ReadModels(database_url, fetch_seconds=0.5)
    try:
        asked = [asyncio.create_task(read_models.answered(_long(60))) for _ in range(4)]
        await asyncio.sleep(0)  # they begin, on every connection of the pool

        assert await read_models.projection_status()
        assert not any(task.done() for task in asked)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [InvalidRequest] * 4
    finally:
        await read_models.close()
