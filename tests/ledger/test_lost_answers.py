"""A COMMIT whose answer is lost is neither doubled nor reported as a conflict.

A proxy with real sockets stands between the writer and PostgreSQL and cuts the connection at the
event that carries a mark, or at the COMMIT of a transaction.
"""

import asyncio
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from eventsourcing.persistence import IntegrityError

from application.ledger.errors import Conflict, LedgerUnavailable
from application.ledger.group_commit import DOUBT_SECONDS, RECONNECT_SECONDS
from application.ledger.ledger import Ledger
from application.ledger.recorder import LedgerRecorder, open_datastore
from tests.builders import records, stream_id
from tests.ledger.attempts import records_again
from tests.ledger.cutting_proxy import Cut, CuttingProxy
from tests.ledger.log_table import keys, keys_of, positions, rows
from tests.waiting import eventually_async

MARK = b'{"marked": true}'


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    """A proxy before the test's database, in a thread of its own: the recorder blocks."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(CuttingProxy(database_url)) as running,
    ):
        yield running


@pytest.mark.parametrize("when", list(Cut))
async def test_group_commit_records_once(proxy: CuttingProxy, database_url: str, when: Cut) -> None:
    """Whether or not the lost batch got through, each of its units is recorded once and answered
    with its true position, and the writer goes on.
    """
    units = [records(2), records(3, state=MARK), records()]
    async with Ledger(proxy.url) as ledger:
        await ledger.writer.append(records())
        proxy.cut(mark=MARK, when=when)
        found = await asyncio.gather(*[ledger.writer.submit(unit) for unit in units])
        following = await ledger.writer.append(records())
        counts = ledger.writer.counts

    assert list(found) == [2, 4, 7]
    assert following == 8
    assert keys(database_url)[1:7] == keys_of(*units)
    assert positions(database_url) == list(range(1, 9))
    assert (proxy.cuts, counts.lost, counts.conflicts) == (1, 1, 0)


async def test_group_commit_still_sees_a_true_conflict(
    proxy: CuttingProxy, database_url: str
) -> None:
    """Where another writer takes the version while the answer is lost, the unit gets Conflict and
    its neighbours are recorded.
    """
    stream = stream_id()
    neighbour = records(2)
    with open_datastore(database_url) as datastore:
        rival = LedgerRecorder(datastore)
        async with Ledger(proxy.url) as ledger:
            proxy.cut(
                mark=MARK,
                when=Cut.BEFORE,
                meanwhile=lambda: rival.insert_events(records(stream=stream, state=b"rival")),
            )
            found = await asyncio.gather(
                ledger.writer.submit(records(stream=stream, state=MARK)),
                ledger.writer.submit(neighbour),
                return_exceptions=True,
            )

    assert isinstance(found[0], Conflict)
    assert found[1] == 2
    assert [row.state for row in rows(database_url)] == [b"rival", b"{}", b"{}"]
    assert positions(database_url) == [1, 2, 3]


async def test_a_doubt_ends(proxy: CuttingProxy, database_url: str) -> None:
    """Where what is asked breaks each connection that it is asked on, it is given up in time, and
    the writer goes on with what others ask.
    """

    def cut_again() -> None:
        proxy.cut(mark=MARK, when=Cut.BEFORE, meanwhile=cut_again)

    async with Ledger(proxy.url) as ledger:
        await ledger.writer.append(records())
        cut_again()
        with pytest.raises(LedgerUnavailable):
            await asyncio.wait_for(
                ledger.writer.append(records(state=MARK)), timeout=2 * DOUBT_SECONDS
            )
        await eventually_async(lambda: records_again(ledger), seconds=5)
        lost = ledger.writer.counts.lost

    assert 2 <= lost <= DOUBT_SECONDS / RECONNECT_SECONDS + 1
    assert positions(database_url) == [1, 2]


@pytest.mark.parametrize(
    ("mark", "when"),
    [
        pytest.param(MARK, Cut.BEFORE, id="insert not sent"),
        pytest.param(b"COMMIT", Cut.BEFORE, id="commit not sent"),
        pytest.param(b"COMMIT", Cut.ANSWERED, id="commit done"),
    ],
)
def test_recorder_records_once(
    proxy: CuttingProxy, database_url: str, mark: bytes, when: Cut
) -> None:
    """Whether or not the lost transaction was committed, its events are recorded once, with their
    true positions, and leave no hole.
    """
    events = records(3, state=MARK)
    with open_datastore(proxy.url) as datastore:
        recorder = LedgerRecorder(datastore)
        recorder.insert_events(records())
        proxy.cut(mark=mark, when=when)
        found = recorder.insert_events(events)
        following = recorder.insert_events(records())

    assert found == [2, 3, 4]
    assert following == [5]
    assert keys(database_url)[1:4] == keys_of(events)
    assert positions(database_url) == [1, 2, 3, 4, 5]
    assert proxy.cuts == 1


def test_recorder_still_sees_a_true_conflict(proxy: CuttingProxy, database_url: str) -> None:
    """Where another writer takes the version while the answer is lost, the insert is refused."""
    stream = stream_id()
    with open_datastore(database_url) as direct, open_datastore(proxy.url) as datastore:
        rival, recorder = LedgerRecorder(direct), LedgerRecorder(datastore)
        proxy.cut(
            mark=MARK,
            when=Cut.BEFORE,
            meanwhile=lambda: rival.insert_events(records(stream=stream, state=b"rival")),
        )
        with pytest.raises(IntegrityError):
            recorder.insert_events(records(stream=stream, state=MARK))

    assert [row.state for row in rows(database_url)] == [b"rival"]
    assert positions(database_url) == [1]
