"""Real servers whose files are put back, and real standbys that are promoted, under a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest

from application.ledger.errors import LedgerUnavailable
from application.ledger.ledger import Ledger
from application.side_tables import SideTables
from domain.client import Client
from domain.retention import Retention
from tests.builders import AT_NOON, a_client, a_principal, a_token, later
from tests.conftest import PrivateDatabase
from tests.failover import Failover
from tests.ledger.following import Process
from tests.ledger.going_back import head_of, losses_of, topics_of
from tests.postgres_copies import copied_files, put_back, standby_of
from tests.waiting import eventually, eventually_async


def now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


@pytest.fixture
async def address(private_database: PrivateDatabase) -> AsyncIterator[Failover]:
    """The address that the process under test knows."""
    async with Failover(private_database.url) as failover:
        yield failover


async def _disabled(database_url: str, *, tokens: int = 9) -> None:
    async with Ledger(database_url) as other:
        client = await other.load(Client.stream("reporter"))
        client.disable(later(5))
        await other.save(client)
        for _ in range(tokens):
            await other.save(a_token(now()))


async def _knows_it_disabled(process: Process) -> bool:
    if not await process.reconciled():
        return False
    known = process.directory.client("reporter")
    return known is not None and not known.enabled


@pytest.mark.parametrize("tokens", [0, 9], ids=["behind its old head", "past its old head"])
async def test_files_put_back(
    private_database: PrivateDatabase, address: Failover, tokens: int
) -> None:
    """A copy of the files has the same identity, system identifier and timeline: the newest event
    that is known shows that it went back.
    """
    async with Process(address.url) as process:
        await process.log.save(a_client(), a_principal())
        with copied_files(private_database.server) as copy:
            await eventually_async(process.reconciled)
            for _ in range(5):
                await process.log.save(a_token(now()))
            address.partition()
            put_back(private_database.server, copy)
            await _disabled(private_database.url, tokens=tokens)
            address.heal()
            with pytest.raises(LedgerUnavailable):  # its connection is lost, or leads elsewhere
                await process.log.save(a_token(now()))
            await eventually_async(lambda: _knows_it_disabled(process))

    assert losses_of(private_database.url) == [(2, 1)]


@pytest.mark.parametrize("reset", [True, False], ids=["primary gone", "primary lives on"])
async def test_a_standby_that_lagged(
    private_database: PrivateDatabase, address: Failover, *, reset: bool
) -> None:
    """What a promoted standby lacks is gone for the process as well, and recorded with the
    timeline; a connection that still leads to the old primary is given up with the first that does
    not.
    """
    with standby_of(private_database.server, private_database.url) as standby:
        async with Process(address.url) as process:
            await process.log.save(a_client(), a_principal())
            eventually(lambda: standby.has(2))
            standby.cut_off()
            for _ in range(5):
                await process.log.save(a_token(now()))
            await process.directory.refresh()
            standby.promote()
            await _disabled(standby.url)
            address.switch(standby.url, reset=reset)
            if not reset:  # one of them is lost, whichever
                await process.log.reader._link.drop()  # as a network would
                with pytest.raises(LedgerUnavailable):
                    await process.log.load(Client.stream("reporter"))
            await eventually_async(lambda: _knows_it_disabled(process))
            await process.log.save(a_token(now()))
            recorded = head_of(standby.url)

        assert losses_of(standby.url) == [(2, 2)]
        assert recorded == 2 + 10 + 1 + 1


async def test_a_lost_answer_is_not_sent_to_the_new_primary(
    private_database: PrivateDatabase, address: Failover
) -> None:
    """A commit whose answer was lost with the old primary, and that the new one lacks, was decided
    upon another log: it is answered as unavailable, and not recorded a second time.
    """
    with standby_of(private_database.server, private_database.url) as standby:
        async with Process(address.url) as process:
            await process.log.save(a_client(), a_principal())
            eventually(lambda: standby.has(2))
            standby.cut_off()
            standby.promote()
            address.switch(standby.url, reset=False)
            address.cut_a_commit()
            answer = asyncio.create_task(process.log.save(a_token(now())))
            await eventually_async(lambda: not process.epoch.open)
            await eventually_async(process.reconciled)
            with pytest.raises(LedgerUnavailable):
                await answer
            await eventually_async(lambda: process.log.writer.available)
        assert head_of(private_database.url) == 3
        assert head_of(standby.url) in (2, 3)  # with the record of the loss, where it was known
        assert "token.issued" not in topics_of(standby.url)


async def test_names_are_used_on_the_same_server(
    private_database: PrivateDatabase, address: Failover
) -> None:
    """What counts once is not used up on another server than that of the log: the tables beside
    the log are reached again once the process follows the new primary.
    """
    with standby_of(private_database.server, private_database.url) as standby:
        async with Process(address.url) as process:
            await process.log.save(a_client(), a_principal())
            eventually(lambda: standby.has(2))
            tables = SideTables(address.url, epoch=process.epoch, wait_seconds=0.5)
            assert await tables.ask("SELECT 1", {}) == [(1,)]
            standby.promote()
            address.switch(standby.url, reset=False)
            process.epoch.doubt("a test")
            await process.directory.refresh()
            timeline = await tables.ask(
                "SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)", {}
            )
            address.switch(private_database.url)
            with pytest.raises(LedgerUnavailable):
                await tables.ask("SELECT 1", {})
            await tables.close()

    assert timeline == [("00000002",)]


async def test_a_standby_that_had_it_all(
    private_database: PrivateDatabase, address: Failover
) -> None:
    """After a failover without a loss the process goes on by itself, and nothing is recorded of
    it.
    """
    with standby_of(private_database.server, private_database.url) as standby:
        async with Process(address.url) as process:
            await process.log.save(a_client(), a_principal())
            eventually(lambda: standby.has(2))
            standby.promote()
            address.switch(standby.url)
            await eventually_async(process.reconciled)
            await eventually_async(lambda: process.log.writer.available)
            await process.log.save(a_token(now()))

            assert process.epoch.identity.timeline == 2
            assert process.directory.client("reporter") is not None
        assert losses_of(standby.url) == []
        assert head_of(standby.url) == 3


async def test_a_standby_is_not_followed(
    private_database: PrivateDatabase, address: Failover
) -> None:
    """What a standby says of the log may be old: it is not taken for a log that went back."""
    with standby_of(private_database.server, private_database.url) as standby:
        async with Process(address.url) as process:
            await process.log.save(a_client(), a_principal())
            eventually(lambda: standby.has(2))
            standby.cut_off()
            await process.log.save(a_token(now()))
            await process.directory.refresh()
            address.switch(standby.url)
            with pytest.raises(LedgerUnavailable):
                await process.directory.refresh()
            with pytest.raises(LedgerUnavailable):
                await process.directory.refresh()
            address.switch(private_database.url)
            await eventually_async(process.reconciled)

    assert losses_of(private_database.url) == []


async def test_a_month_that_leaves_is_no_loss(private_database: PrivateDatabase) -> None:
    """The newest event known may be of a month that is detached right then: the record of that
    tells it from a log that went back.
    """
    async with Process(private_database.url) as process:
        await process.log.save(a_client(), a_principal())
        token = a_token(now())
        await process.log.save(token)
        await process.directory.refresh()
        month = f"ledger_events_{now():%Y_%m}"
        fate = Retention.open(month, provenance=AT_NOON)
        fate.detach(
            rows=1,
            first_position=3,
            last_position=3,
            manifest_sha256="00" * 32,
            dropped=False,
            provenance=AT_NOON,
        )
        known = process.epoch.known
        async with Ledger(private_database.url) as other:
            await other.save(fate)
        with psycopg.connect(private_database.url) as connection:
            connection.execute(
                f"ALTER TABLE grantledger.ledger_events DETACH PARTITION grantledger.{month}"
            )
        await process.directory.refresh()

        assert known is not None
        assert known.stream_id == token.id
        assert process.epoch.open
        assert process.directory.client("reporter") is not None
    assert losses_of(private_database.url) == []


async def test_a_month_that_leaves_with_the_newest_event(private_database: PrivateDatabase) -> None:
    """Something was recorded in a month between the record of its detachment and the detachment:
    connections that are made anew are not refused for it, again and again.
    """
    async with Process(private_database.url) as process:
        await process.log.save(a_client(), a_principal())
        month = f"ledger_events_{now():%Y_%m}"
        fate = Retention.open(month, provenance=AT_NOON)
        fate.detach(
            rows=0,
            first_position=3,
            last_position=3,
            manifest_sha256="00" * 32,
            dropped=False,
            provenance=AT_NOON,
        )
        async with Ledger(private_database.url) as other:
            await other.save(fate)
        await process.log.save(a_token(now()))
        await process.directory.refresh()
        with psycopg.connect(private_database.url) as connection:
            connection.execute(
                f"ALTER TABLE grantledger.ledger_events DETACH PARTITION grantledger.{month}"
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        async def goes_on() -> bool:
            await process.reconciled()
            with suppress(LedgerUnavailable):  # its connection was lost
                await process.log.save(a_client(client_id="other"))
                return True
            return False

        await eventually_async(goes_on)

        assert process.epoch.open
    assert losses_of(private_database.url) == []
