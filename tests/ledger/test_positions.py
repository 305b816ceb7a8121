"""Positions that a writer took and never committed are given again."""

from contextlib import suppress

import psycopg
import pytest

from application.ledger.errors import LedgerUnavailable
from application.ledger.ledger import Ledger
from application.ledger.recorder import (
    APPEND,
    LedgerRecorder,
    append_parameters,
    open_datastore,
)
from tests.builders import records
from tests.ledger.log_table import keys, keys_of, positions
from tests.waiting import eventually_async


@pytest.fixture
def hole(database_url: str) -> str:
    """A database with one event and a writer that died between its insert and its commit."""
    with psycopg.connect(database_url) as connection:
        connection.execute(APPEND, append_parameters(records()))
        connection.commit()
        connection.execute(APPEND, append_parameters(records(5)))
        connection.rollback()
    return database_url


def close_hole(database_url: str) -> None:
    """Do what a writer does when it connects."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT grantledger.close_position_hole()")


def test_a_hole_is_closed(hole: str) -> None:
    """After close_position_hole the next event gets the position behind the last one recorded."""
    close_hole(hole)
    with open_datastore(hole) as datastore:
        found = LedgerRecorder(datastore).insert_events(records(2))

    assert found == [2, 3]
    assert positions(hole) == [1, 2, 3]


async def test_a_writer_closes_it_when_it_connects(hole: str) -> None:
    """A writer that starts after another died continues without a hole."""
    async with Ledger(hole) as ledger:
        position = await ledger.writer.append(records())

    assert position == 2


async def test_a_position_behind_the_log_is_set_right(database_url: str) -> None:
    """A log that was moved without its sequence is gone on with at its end, by a writer that starts
    and by one that is there: a position is never given twice.
    """
    async with Ledger(database_url) as ledger:
        await ledger.writer.append(records(3))
        with psycopg.connect(database_url) as connection:
            connection.execute("SELECT setval('grantledger.ledger_position', 1, true)")
        found: list[int] = []

        async def gone_on() -> bool:
            with suppress(LedgerUnavailable):
                found.append(await ledger.writer.append(records()))
            return bool(found)

        async with Ledger(database_url) as another:
            found_there = await another.writer.append(records())
        await eventually_async(gone_on)

    assert (found_there, found[0]) == (4, 5)
    assert positions(database_url) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("events", [0, 3])
def test_without_a_hole_nothing_moves(database_url: str, events: int) -> None:
    """Where there is no hole, in an empty log too, the next position is what it would have been."""
    with open_datastore(database_url) as datastore:
        recorder = LedgerRecorder(datastore)
        recorder.insert_events(records(events))
        close_hole(database_url)
        close_hole(database_url)
        found = recorder.insert_events(records())

    assert found == [events + 1]


def test_a_hole_that_stays_hides_nothing(hole: str) -> None:
    """Where another writer went on before the hole was closed, its event is read all the same, and
    closing takes back no position that was given.
    """
    unit = records()
    with open_datastore(hole) as datastore:
        recorder = LedgerRecorder(datastore)
        recorder.insert_events(unit)
        close_hole(hole)
        recorder.insert_events(records())
        read = recorder.select_notifications(1, 10, inclusive_of_start=False)

    assert (read[0].originator_id, read[0].id) == (unit[0].originator_id, 7)
    assert keys(hole)[1:2] == keys_of(unit)
    assert positions(hole) == [1, 7, 8]
