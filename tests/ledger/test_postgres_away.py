"""With PostgreSQL away nothing waits for long and nothing is lost; with it back all resumes."""

import asyncio
from collections.abc import Iterator
from time import monotonic

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg.sql import SQL, Identifier

from application.ledger.errors import LedgerUnavailable
from application.ledger.group_commit import DOUBT_SECONDS
from application.ledger.ledger import Ledger
from application.ledger.recorder import LedgerRecorder, open_datastore
from tests.builders import records, stream_id
from tests.conftest import PrivateDatabase
from tests.ledger.attempts import records_again
from tests.ledger.log_table import keys, keys_of, positions
from tests.waiting import eventually_async

QUICK_SECONDS = 0.5
RESUME_SECONDS = 2.0


async def refused_within(ledger: Ledger, seconds: float) -> bool:
    """Tell whether an append is refused as unavailable, in that time; fails if it is recorded."""
    began = monotonic()
    with pytest.raises(LedgerUnavailable):
        await ledger.writer.append(records())
    return monotonic() - began < seconds


async def reads_again(ledger: Ledger) -> bool:
    """Try to read a stream and tell whether there was an answer."""
    try:
        await ledger.stored(stream_id())
    except LedgerUnavailable:
        return False
    return True


async def _unsettled(ledger: Ledger) -> bool:
    """Tell whether the ledger leaves open what became of a save that it gave up; even where it
    could read, a backend might still be at work on it.
    """
    try:
        await ledger.settled(stream_id())
    except LedgerUnavailable as error:
        return "may still arrive" in str(error)
    return False


async def test_stopped_and_started(private_database: PrivateDatabase) -> None:
    """While PostgreSQL is stopped appends and reads are refused at once; within two seconds of
    its return both work again, and nothing that was refused is in the log.
    """
    before = records(2)
    async with Ledger(private_database.url) as ledger:
        await ledger.writer.append(before)
        await ledger.stored(stream_id())
        await asyncio.to_thread(private_database.server.stop)
        quick = [await refused_within(ledger, QUICK_SECONDS) for _ in range(3)]
        available_while_away = ledger.writer.available
        unsettled = await _unsettled(ledger)
        with pytest.raises(LedgerUnavailable):
            await ledger.stored(stream_id())
        await asyncio.to_thread(private_database.server.start)
        await eventually_async(lambda: records_again(ledger), seconds=RESUME_SECONDS)
        await eventually_async(lambda: reads_again(ledger), seconds=RESUME_SECONDS)
        available_again = ledger.writer.available

    assert quick == [True, True, True]
    assert unsettled
    assert (available_while_away, available_again) == (False, True)
    assert keys(private_database.url)[:2] == keys_of(before)
    assert positions(private_database.url) == [1, 2, 3]


async def test_absent_from_the_start(private_database: PrivateDatabase) -> None:
    """A ledger that starts before PostgreSQL refuses at first and works once it is there."""
    await asyncio.to_thread(private_database.server.stop)
    async with Ledger(private_database.url) as ledger:
        quick = await refused_within(ledger, QUICK_SECONDS)
        await asyncio.to_thread(private_database.server.start)
        await eventually_async(lambda: records_again(ledger), seconds=RESUME_SECONDS)

    assert quick
    assert positions(private_database.url) == [1]


async def test_killed_under_load(private_database: PrivateDatabase) -> None:
    """When PostgreSQL is killed while units are written, every unit that was answered is in the
    log, no unit is in it by half, and the positions have no hole.
    """
    units: list[list[StoredEvent]] = []
    answers: list[asyncio.Future[int]] = []
    async with Ledger(private_database.url) as ledger:
        killing: asyncio.Task[None] | None = None
        while ledger.writer.available and not (killing and killing.done()):
            units.append(records(3))
            answers.append(ledger.writer.submit(units[-1]))
            await asyncio.sleep(0)
            if killing is None and answers[0].done():
                killing = asyncio.create_task(asyncio.to_thread(private_database.server.kill))
        found = await asyncio.gather(*answers, return_exceptions=True)
        assert killing is not None
        await killing
        await asyncio.to_thread(private_database.server.start)
        await eventually_async(lambda: records_again(ledger), seconds=DOUBT_SECONDS)
    logged = keys(private_database.url)
    found_keys = set(logged)
    recorded = [unit for unit in units if keys_of(unit)[0] in found_keys]
    answered = [unit for unit, answer in zip(units, found, strict=True) if isinstance(answer, int)]

    assert answered
    assert all(isinstance(answer, int | LedgerUnavailable) for answer in found)
    assert set(keys_of(*answered)) <= found_keys
    assert keys_of(*recorded) == logged[:-1]
    assert positions(private_database.url) == list(range(1, len(logged) + 1))


@pytest.fixture
def careless_database(private_database: PrivateDatabase) -> Iterator[PrivateDatabase]:
    """A database whose operator turned synchronous commit off and write-ahead to long intervals."""
    with psycopg.connect(private_database.url, autocommit=True) as connection:
        name = Identifier(connection.info.dbname)
        connection.execute(SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    yield private_database
    private_database.server.start()
    with psycopg.connect(private_database.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET wal_writer_delay")
        connection.execute("SELECT pg_reload_conf()")


async def test_what_was_answered_survives_a_crash(careless_database: PrivateDatabase) -> None:
    """An answered unit is durable whatever the database's default: it survives an instant kill."""
    unit = records(2)
    async with Ledger(careless_database.url) as ledger:
        await ledger.writer.append(unit)
        careless_database.server.kill()
    careless_database.server.start()

    assert keys(careless_database.url) == keys_of(unit)


def test_what_the_recorder_inserted_survives_a_crash(careless_database: PrivateDatabase) -> None:
    """The same of the blocking recorder."""
    unit = records(2)
    with open_datastore(careless_database.url) as datastore:
        LedgerRecorder(datastore).insert_events(unit)
        careless_database.server.kill()
    careless_database.server.start()

    assert keys(careless_database.url) == keys_of(unit)
