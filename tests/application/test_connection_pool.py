"""Pools: they come back with PostgreSQL, and no wait is without an end."""

import asyncio
from time import monotonic

import pytest

from api.read_models import ReadModels
from application import connection_pool
from application.ledger.errors import LedgerUnavailable
from application.side_tables import SideTables
from application.used_names import UsedNames
from tests.application.fakes import FakeClock
from tests.conftest import PrivateDatabase
from tests.waiting import eventually_async

AWAY_SECONDS = 8.5
"""Between the attempts that pauses of 1, 2, 4 and 8 seconds would lead to."""
BACK_SECONDS = 2.5
NOWHERE = "postgresql://postgres@127.0.0.1:1/nothing"


async def _answered(tables: SideTables) -> bool:
    try:
        return await tables.ask("SELECT 1", {}) == [(1,)]
    except LedgerUnavailable:
        return False


async def test_a_pool_is_back_with_postgresql(private_database: PrivateDatabase) -> None:
    """However long PostgreSQL was away: a pause that doubles would make it twice as long."""
    tables = SideTables(private_database.url, connections=1, wait_seconds=0.3)
    assert await _answered(tables)
    await asyncio.to_thread(private_database.server.stop)
    until = monotonic() + AWAY_SECONDS
    while monotonic() < until:
        assert not await _answered(tables)
    await asyncio.to_thread(private_database.server.start)
    await eventually_async(lambda: _answered(tables), seconds=BACK_SECONDS)
    await tables.close()


async def test_each_wait_has_an_end(database_url: str) -> None:
    """That of a statement behind a lock, of an unanswered connection, and of a silent network."""
    tables = SideTables(database_url)
    ((statement,),) = await tables.ask("SELECT current_setting('statement_timeout')", {})
    async with tables.connection() as connection:
        parameters = connection.info.get_parameters()
    await tables.close()

    assert statement == "5s"
    for name, value in connection_pool.SILENCE.items():
        assert parameters[name] == str(value)


async def test_who_asks_whether_it_is_ready_waits_behind_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With PostgreSQL away, ten that ask together are answered together, after one wait."""
    monkeypatch.setattr("api.read_models._WAIT_SECONDS", 0.3)
    models = ReadModels(NOWHERE)
    began = monotonic()
    answers = await asyncio.gather(
        *(models.projection_status() for _ in range(10)), return_exceptions=True
    )
    took = monotonic() - began
    await models.close()

    assert all(isinstance(one, LedgerUnavailable) for one in answers)
    assert took < 4 * 0.3


async def test_used_names_are_written_on_after_a_surprise(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits is told, those in the next batch are served, and so is everybody after."""
    tables, now = SideTables(database_url), FakeClock().now()
    names = UsedNames(tables)
    asked = tables.ask
    surprises = [ZeroDivisionError()]

    async def surprised(*arguments: object) -> object:
        await asyncio.sleep(0)
        if surprises:
            raise surprises.pop()
        return await asked(*arguments)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(tables, "ask", surprised)

    async def use(key: bytes, after: int) -> bool:
        for _ in range(after):
            await asyncio.sleep(0)
        return await names.use("test", key, expires_at=now, now=now)

    first, second = await asyncio.gather(
        use(b"first", 0), asyncio.wait_for(use(b"second", 2), 5), return_exceptions=True
    )
    third = await use(b"third", 0)
    await tables.close()

    assert isinstance(first, LedgerUnavailable)
    assert (second, third) == (True, True)
