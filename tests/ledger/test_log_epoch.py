"""A log that goes back under a process: nothing of what was kept counts, and it is recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from application.ledger.errors import LedgerUnavailable
from application.ledger.ledger import Ledger
from domain.client import Client
from domain.client_configuration import TokenPolicy
from domain.consents import Consents
from tests.builders import AT_NOON, a_client, a_principal, a_token, later
from tests.ledger.following import Process
from tests.ledger.going_back import head_of, losses_of, take_back


@pytest.fixture
async def process(database_url: str) -> AsyncIterator[Process]:
    """A process that has read the log."""
    async with Process(database_url) as process:
        yield process


async def _disabled_by_another(database_url: str, *, tokens: int) -> None:
    """Disable the client, and write more events than were lost."""
    async with Ledger(database_url) as other:
        client = await other.load(Client.stream("reporter"))
        client.disable(later(5))
        await other.save(client)
        for _ in range(tokens):
            await other.save(a_token(datetime.now(UTC)))


@pytest.mark.parametrize("tokens", [0, 9], ids=["behind its old head", "past its old head"])
async def test_the_directory_is_read_anew(process: Process, database_url: str, tokens: int) -> None:
    """A client that was disabled after the log had gone back is known as disabled, one that was
    registered in what is lost is not known, and the loss is recorded with what is left.
    """
    await process.log.save(a_client(), a_principal())
    kept = head_of(database_url)
    await process.log.save(
        a_client(client_id="lost"), *[a_token(datetime.now(UTC)) for _ in range(4)]
    )
    await process.directory.refresh()
    take_back(database_url, to=kept)
    await _disabled_by_another(database_url, tokens=tokens)

    await process.directory.refresh()

    known = process.directory.client("reporter")
    assert known is not None
    assert not known.enabled
    assert process.directory.client("lost") is None
    assert losses_of(database_url) == [(kept, 1)]
    await process.directory.refresh()
    assert losses_of(database_url) == [(kept, 1)]
    await process.log.save(a_token(datetime.now(UTC)))


async def test_the_writer_notices_by_itself(process: Process, database_url: str) -> None:
    """Nothing is recorded on what is known of a log that is shorter than that, long before anybody
    reads it anew; afterwards it goes on.
    """
    await process.log.save(a_client(), a_principal())
    take_back(database_url, to=1)

    with pytest.raises(LedgerUnavailable):
        await process.log.save(a_token(datetime.now(UTC)))
    with pytest.raises(LedgerUnavailable):
        process.directory.client("reporter")
    assert not process.log.writer.available
    assert head_of(database_url) == 1
    assert await process.reconciled()
    await process.log.save(a_token(datetime.now(UTC)))
    assert losses_of(database_url) == [(1, 1)]


async def test_an_announced_end_is_refused_likewise(process: Process, database_url: str) -> None:
    """An end goes ahead of all others, and not into a log that is shorter than what is known."""
    await process.log.save(a_client(), a_principal())
    take_back(database_url, to=1)

    with pytest.raises(LedgerUnavailable):
        await process.log.save_end(uuid4(), a_token(datetime.now(UTC)))
    assert head_of(database_url) == 1


async def test_a_restored_table_is_another(process: Process, database_url: str) -> None:
    """Tables that were dropped and restored while a connection was open are not written to on what
    was known, also where the log has passed its old head.
    """
    await process.log.save(a_client(), a_principal())
    with psycopg.connect(database_url) as connection:  # as pg_restore --clean leaves it
        connection.execute(
            "CREATE TABLE other AS SELECT * FROM grantledger.log_identity;"
            "DROP TABLE grantledger.log_identity;"
            "ALTER TABLE other SET SCHEMA grantledger;"
            "ALTER TABLE grantledger.other RENAME TO log_identity"
        )

    with pytest.raises(LedgerUnavailable):
        await process.log.save(a_token(datetime.now(UTC)))
    assert await process.reconciled()
    await process.log.save(a_token(datetime.now(UTC)))
    assert losses_of(database_url) == []


async def test_kept_aggregates_go(process: Process, database_url: str) -> None:
    """What was loaded of an event that is lost is neither loaded nor recent any more."""
    await process.log.save(a_client())
    client = await process.log.load(Client.stream("reporter"))
    client.set_token_policy(TokenPolicy(lifetime=60), provenance=later(1))
    await process.log.save(client)
    await process.directory.refresh()
    take_back(database_url, to=1)
    await process.directory.refresh()

    assert process.log.recent(client.id) is None
    assert (await process.log.load(client.id)).version == 1


async def test_what_was_decided_before_is_not_recorded_after(
    process: Process, database_url: str
) -> None:
    """A request that began before the log went back records nothing, however long it took; one that
    begins afterwards does.
    """
    await process.log.save(a_client(), a_principal())
    await process.directory.refresh()
    slow = copy_context()
    slow.run(process.epoch.begin)
    take_back(database_url, to=1)
    await process.directory.refresh()
    head = head_of(database_url)

    async def save() -> int:
        return await process.log.save(a_token(datetime.now(UTC)))

    with pytest.raises(LedgerUnavailable, match="turned out to be another"):
        await asyncio.get_running_loop().create_task(save(), context=slow)
    assert head_of(database_url) == head
    process.epoch.begin()
    await save()


async def test_what_waits_for_the_writer_is_refused(process: Process, database_url: str) -> None:
    """Units that were handed in and not sent yet are answered as unavailable."""
    await process.log.save(a_client(), a_principal())
    first = asyncio.create_task(process.log.save(a_token(datetime.now(UTC))))
    await asyncio.sleep(0)  # its batch is on the way
    waiting = [asyncio.create_task(process.log.save(a_token(datetime.now(UTC)))) for _ in range(3)]
    await asyncio.sleep(0)
    process.epoch.doubt("a test")
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(first, return_exceptions=True)

    assert [type(answer) for answer in answers] == [LedgerUnavailable] * 3
    assert head_of(database_url) <= 3


async def test_one_record_for_all_processes(database_url: str) -> None:
    """Several processes that find the same loss agree on one record of it."""
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(Process(database_url, f"p-{number}"))
            for number in range(4)
        ]
        await processes[0].log.save(a_client(), a_principal())
        await asyncio.gather(*(one.directory.refresh() for one in processes))
        take_back(database_url, to=1)
        await asyncio.gather(*(one.directory.refresh() for one in processes))

        assert losses_of(database_url) == [(1, 1)]
        assert all(one.epoch.open for one in processes)


async def test_a_clock_that_went_back_with_the_log(process: Process, database_url: str) -> None:
    """The newest event that was seen is an hour ahead of the clock of the server that is left: one
    record covers the loss, and what is issued goes on.
    """
    await process.log.save(a_client(), a_principal())
    kept = head_of(database_url)
    await process.log.save(a_token(datetime.now(UTC)))
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "UPDATE grantledger.ledger_events SET recorded_at = recorded_at + interval '1 hour'"
            " WHERE notification_id > %s",
            (kept,),
        )
    await process.directory.refresh()
    take_back(database_url, to=kept)

    async with asyncio.timeout(5):
        await process.directory.refresh()

    assert losses_of(database_url) == [(kept, 1)]
    assert process.directory.lost_with_the_log(datetime.now(UTC) + timedelta(hours=1))
    await process.log.save(a_token(datetime.now(UTC)))


async def test_each_loss_has_its_record(process: Process, database_url: str) -> None:
    """A log that goes back to the same place again, or further, is recorded again."""
    await process.log.save(a_client(), a_principal())
    await process.directory.refresh()
    for _ in range(2):
        take_back(database_url, to=1)
        await process.directory.refresh()
        assert losses_of(database_url) == [(1, 1)]
    await process.log.save(a_token(datetime.now(UTC)))
    await process.directory.refresh()
    take_back(database_url, to=2)
    await process.directory.refresh()

    assert losses_of(database_url) == [(1, 1), (2, 1)]


async def test_nothing_left_is_a_loss_of_all(process: Process, database_url: str) -> None:
    """An empty log is one that lost everything: whatever was issued until then may be lost."""
    await process.log.save(a_client(), a_principal())
    await process.directory.refresh()
    take_back(database_url, to=0)
    await process.directory.refresh()

    assert losses_of(database_url) == [(0, 1)]
    assert process.directory.client("reporter") is None
    assert process.directory.lost_with_the_log(datetime(2026, 3, 3, tzinfo=UTC))


async def test_which_tokens_may_be_lost(process: Process, database_url: str) -> None:
    """Those of the time between the last event that is left and the moment it was noticed."""
    await process.log.save(a_client(), a_principal())
    await process.log.save(a_token(datetime.now(UTC)))
    await process.directory.refresh()
    before = datetime.now(UTC)
    assert not process.directory.lost_with_the_log(before)
    take_back(database_url, to=2)
    await process.directory.refresh()
    lost = process.directory.lost_with_the_log

    assert lost(before)
    assert lost(before.replace(microsecond=0))  # as `iat` has it
    assert not lost(before - timedelta(minutes=5))
    assert not lost(datetime.now(UTC) + timedelta(minutes=5))
    async with Process(database_url) as fresh:
        assert fresh.directory.lost_with_the_log(before)


async def test_consents_move_the_head_too(process: Process, database_url: str) -> None:
    """An event that the directory passes over is remembered like any other: its loss shows."""
    await process.log.save(a_client(), a_principal())
    await process.log.save(Consents.open("alice", provenance=AT_NOON))
    await process.directory.refresh()
    take_back(database_url, to=2)
    await process.directory.refresh()

    assert losses_of(database_url) == [(2, 1)]
