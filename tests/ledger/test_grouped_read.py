"""Grouped reads: what is asked for at once comes in one query, each stream to who asked for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from application.ledger import grouped_read
from application.ledger.errors import LedgerUnavailable
from application.ledger.grouped_read import BATCH_STREAMS
from application.ledger.ledger import Ledger
from domain.ids import directory_id
from tests.builders import a_client, records, stream_id, stream_of
from tests.conftest import PrivateDatabase
from tests.ledger.cutting_proxy import CuttingProxy


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    """A proxy that counts the statements on their way to the test's database."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(CuttingProxy(database_url)) as running,
    ):
        yield running


@pytest.fixture
async def watched(proxy: CuttingProxy) -> AsyncIterator[Ledger]:
    """A ledger whose statements are counted."""
    async with Ledger(proxy.url) as started:
        yield started


async def test_many_streams_in_one_query(watched: Ledger, proxy: CuttingProxy) -> None:
    """Streams that are asked for at once come in one query, each whole, in the order of versions,
    and with an empty list for the one that does not exist.
    """
    units = [records(3), records(1, stream=directory_id("client", "a")), records(2)]
    await asyncio.gather(*[watched.writer.submit(unit) for unit in units])
    wanted = [*[stream_of(unit) for unit in units], stream_id()]
    await watched.stored(stream_id())  # connects, which asks where that leads
    before = proxy.statements

    found = await asyncio.gather(*[watched.stored(stream) for stream in wanted])

    assert found == [*units, []]
    assert proxy.statements - before == 1


async def test_more_streams_than_a_query_takes(watched: Ledger, proxy: CuttingProxy) -> None:
    """Too many streams for one query come in two, and none is forgotten."""
    units = [records() for _ in range(BATCH_STREAMS + 1)]
    await asyncio.gather(*[watched.writer.submit(unit) for unit in units])
    await watched.stored(stream_id())  # connects, which asks where that leads
    before = proxy.statements

    found = await asyncio.gather(*[watched.stored(stream_of(unit)) for unit in units])

    assert found == units
    assert proxy.statements - before == 2


async def test_a_query_full_of_short_streams(watched: Ledger, proxy: CuttingProxy) -> None:
    """As many streams as a query takes are whole after the first, whose events are shared out."""
    units = [records(2) for _ in range(BATCH_STREAMS)]
    await asyncio.gather(*[watched.writer.submit(unit) for unit in units])
    await watched.stored(stream_id())  # connects, which asks where that leads
    before = proxy.statements

    found = await asyncio.gather(*[watched.stored(stream_of(unit)) for unit in units])

    assert found == units
    assert proxy.statements - before == 1


async def test_one_stream_for_many(ledger: Ledger) -> None:
    """Whoever asks for the same stream at once gets the same answer."""
    unit = records(2)
    await ledger.writer.append(unit)

    found = await asyncio.gather(*[ledger.stored(stream_of(unit)) for _ in range(5)])

    assert found == [unit] * 5


async def test_what_was_recorded_is_read(ledger: Ledger) -> None:
    """A read that begins after an append was answered sees it, again and again."""
    stream = stream_id()
    for version in range(1, 30):
        await ledger.writer.append(records(stream=stream, first_version=version))

        assert len(await ledger.stored(stream)) == version


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
async def test_a_long_stream_comes_in_parts(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Whatever of it fits into the last part: it is whole, beside others that are short."""
    monkeypatch.setattr(grouped_read, "QUERY_EVENTS", 2)
    long, short = records(count), records()
    await asyncio.gather(ledger.writer.append(long), ledger.writer.append(short))

    found = await asyncio.gather(*[ledger.stored(stream_of(one)) for one in (long, short)])

    assert found == [long, short]


async def test_long_streams_share_a_query(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are at once, what is answered at once is no more than is bearable: each
    part is folded before anybody else has a turn.
    """
    monkeypatch.setattr(grouped_read, "QUERY_EVENTS", 8)
    units = [records(5) for _ in range(4)]
    await asyncio.gather(*[ledger.writer.append(unit) for unit in units])

    parts = await asyncio.gather(*[ledger.reader.part(stream_of(one), after=0) for one in units])
    found = await asyncio.gather(*[ledger.stored(stream_of(one)) for one in units])

    assert parts == [(unit[:2], True) for unit in units]
    assert found == units


async def test_who_asks_for_the_same_long_stream_shares_too(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody folds for itself: of one stream, many get as little at once as of many streams."""
    monkeypatch.setattr(grouped_read, "QUERY_EVENTS", 8)
    unit = records(5)
    await ledger.writer.append(unit)

    parts = await asyncio.gather(*[ledger.reader.part(stream_of(unit), after=0) for _ in range(4)])

    assert parts == [(unit[:2], True)] * 4


async def test_whoever_knows_more_of_a_long_stream_misses_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that was read for somebody who knows less ends before what this one asks for: it is
    told that there may be more, and never that there is none.
    """
    monkeypatch.setattr(grouped_read, "QUERY_EVENTS", 4)
    unit = records(5)
    stream = stream_of(unit)
    await ledger.writer.append(unit)

    less, more = await asyncio.gather(
        ledger.reader.part(stream, after=0), ledger.reader.part(stream, after=4)
    )

    assert less == (unit[:2], True)
    assert more == ([], True)
    assert await ledger.reader.part(stream, after=4) == (unit[4:], False)


async def test_a_reader_that_goes_away_disturbs_nobody(ledger: Ledger) -> None:
    """A caller that is cancelled while it waits leaves the others their answers."""
    unit = records()
    await ledger.writer.append(unit)
    gone, other = (
        asyncio.create_task(ledger.reader.read(stream)) for stream in (stream_id(), stream_of(unit))
    )
    await asyncio.sleep(0)
    gone.cancel()
    found = await other

    assert found == unit
    assert await ledger.stored(stream_id()) == []


async def test_an_aggregate_comes_back_as_it_was_saved(ledger: Ledger) -> None:
    """What was saved loads as an equal aggregate; a stream without events loads as None."""
    client = a_client()
    await ledger.save(client)

    loaded = await ledger.load(client.id)

    assert loaded == client
    assert await ledger.load(stream_id()) is None
    assert await ledger.save(client) == 0


async def test_all_who_wait_are_told(private_database: PrivateDatabase) -> None:
    """With PostgreSQL stopped every one of many readers gets LedgerUnavailable."""
    async with Ledger(private_database.url) as ledger:
        await ledger.stored(stream_id())
        await asyncio.to_thread(private_database.server.stop)
        found = await asyncio.gather(
            *[ledger.stored(stream_id()) for _ in range(20)], return_exceptions=True
        )

    assert [type(answer) for answer in found] == [LedgerUnavailable] * 20


async def test_closing_tells_who_still_waits(database_url: str) -> None:
    """A reader that still waits when the ledger closes gets LedgerUnavailable."""
    async with Ledger(database_url) as ledger:
        waiting = asyncio.create_task(ledger.reader.read(stream_id()))
        await asyncio.sleep(0)
    with pytest.raises(LedgerUnavailable):
        await asyncio.wait_for(waiting, timeout=5)
