"""Group commit: what shares a commit, what fails alone, and when a unit is answered.

Units that are submitted without letting the event loop run in between share the next batch.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from application.ledger.errors import Conflict, LedgerUnavailable, UnitRejected
from application.ledger.group_commit import BATCH_UNITS
from application.ledger.ledger import Ledger
from application.ledger.schema import APPEND_LOCK
from tests.builders import records, stream_id
from tests.ledger.log_table import keys, keys_of, positions, rows, writer_waits
from tests.waiting import eventually_async

TAKEN = stream_id()
ANSWER_SECONDS = 10  # a unit that is never answered is a failure, not a hanging test


async def answers(ledger: Ledger, units: list[list[StoredEvent]]) -> list[int | BaseException]:
    """Submit `units` at once and return each one's position or error."""
    async with asyncio.timeout(ANSWER_SECONDS):
        return await asyncio.gather(
            *[ledger.writer.submit(unit) for unit in units], return_exceptions=True
        )


async def test_one_commit_records_all_that_was_queued(ledger: Ledger, database_url: str) -> None:
    """Units queued together share one commit, and each learns the position of its first event."""
    units = [records(size) for size in (1, 3, 2, 1)]

    found = await answers(ledger, units)

    assert found == [1, 2, 5, 7]
    assert keys(database_url) == keys_of(*units)
    assert ledger.writer.counts.commits == 1
    assert ledger.writer.counts.events == 7


async def test_a_batch_has_an_upper_limit(ledger: Ledger, database_url: str) -> None:
    """More units than a batch takes come in several commits, in their order."""
    units = [records() for _ in range(BATCH_UNITS + 1)]

    found = await answers(ledger, units)

    assert found == list(range(1, BATCH_UNITS + 2))
    assert ledger.writer.counts.commits == 2
    assert positions(database_url) == found


@pytest.mark.parametrize(
    ("poison", "error"),
    [
        pytest.param(lambda: records(stream=TAKEN), Conflict, id="version taken"),
        pytest.param(lambda: records(2, stream=TAKEN), Conflict, id="first of two taken"),
        pytest.param(
            lambda: [*records(), *records(stream=TAKEN)], Conflict, id="second of two taken"
        ),
        pytest.param(
            lambda: records(stream=stream_id(datetime(2090, 1, 1, tzinfo=UTC))),
            UnitRejected,
            id="month without a partition",
        ),
        pytest.param(
            lambda: records(stream=UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")),
            UnitRejected,
            id="neither directory id nor UUIDv7",
        ),
        pytest.param(
            lambda: [StoredEvent(stream_id(), 1, "with\0zero", b"{}")],
            UnitRejected,
            id="topic that is no text",
        ),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 8])
async def test_a_poisoned_unit_fails_alone(
    ledger: Ledger,
    database_url: str,
    poison: Callable[[], list[StoredEvent]],
    error: type[Exception],
    place: int,
) -> None:
    """A unit that the store refuses fails whole and alone, and leaves no hole in the positions."""
    await ledger.writer.append(records(stream=TAKEN))
    units = [records(2) for _ in range(8)]
    batch = [*units[:place], poison(), *units[place:]]

    found = await answers(ledger, batch)
    refused = found.pop(place)

    assert isinstance(refused, error)
    assert found == list(range(2, 18, 2))
    assert keys(database_url) == [(TAKEN, 1), *keys_of(*units)]
    assert positions(database_url) == list(range(1, 18))


async def test_several_poisoned_units(ledger: Ledger, database_url: str) -> None:
    """Each of several refused units of one batch gets its own error; positions stay contiguous."""
    await ledger.writer.append(records(stream=TAKEN))
    good = [records() for _ in range(5)]
    outside = records(stream=UUID(int=2**128 - 1))

    found = await answers(
        ledger, [good[0], records(stream=TAKEN), good[1], good[2], outside, good[3], good[4]]
    )

    assert [type(answer) for answer in found] == [int, Conflict, int, int, UnitRejected, int, int]
    assert keys(database_url) == [(TAKEN, 1), *keys_of(*good)]
    assert positions(database_url) == list(range(1, 7))


async def test_a_refused_batch_alone_leaves_no_hole(ledger: Ledger, database_url: str) -> None:
    """After batches that were refused whole the next event gets the very next position."""
    await ledger.writer.append(records(stream=TAKEN))
    for _ in range(3):
        with pytest.raises(Conflict):
            await ledger.writer.append(records(5, stream=TAKEN))

    position = await ledger.writer.append(records())

    assert position == 2
    assert positions(database_url) == [1, 2]


async def test_the_second_of_two_writers_of_a_stream_conflicts(
    ledger: Ledger, database_url: str
) -> None:
    """Of two units that claim one version the first is recorded and the second gets Conflict."""
    stream = stream_id()

    first, second, other = await answers(
        ledger,
        [records(stream=stream, state=b"1"), records(stream=stream, state=b"2"), records()],
    )

    assert first == 1
    assert isinstance(second, Conflict)
    assert isinstance(other, int)
    assert [row.state for row in rows(database_url) if row.stream == stream] == [b"1"]


async def test_units_on_one_stream_do_not_share_a_batch(ledger: Ledger, database_url: str) -> None:
    """Successive units of a stream come in successive commits, though neither conflicts."""
    stream = stream_id()
    units = [records(stream=stream), records(stream=stream, first_version=2)]

    found = await answers(ledger, units)

    assert found == [1, 2]
    assert ledger.writer.counts.commits == 2
    assert keys(database_url) == [(stream, 1), (stream, 2)]


async def test_no_unit_overtakes_one_that_waits_on_its_stream(
    ledger: Ledger, database_url: str
) -> None:
    """A unit put off for its stream holds back later units on any of its streams."""
    shared, further = stream_id(), stream_id()
    first = records(stream=shared)
    waits = [*records(stream=shared, first_version=2), *records(stream=further)]
    last = records(stream=further, first_version=2)

    await answers(ledger, [first, waits, last])

    assert keys(database_url) == keys_of(first, waits, last)


async def test_nothing_is_answered_before_its_commit(ledger: Ledger, database_url: str) -> None:
    """While the commit is held up the unit is not answered; once answered, others see it."""
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        answer = ledger.writer.submit(records())
        await eventually_async(lambda: writer_waits(database_url))
        answered_early = answer.done()
        holder.rollback()
        position = await answer
        seen = positions(database_url)

    assert not answered_early
    assert seen == [position]


async def test_a_request_that_goes_away_disturbs_nobody(ledger: Ledger, database_url: str) -> None:
    """A caller that is cancelled while its unit waits leaves its neighbours their answers."""
    units = [records(), records(), records()]
    first, gone, last = (ledger.writer.submit(unit) for unit in units)
    gone.cancel()

    found = await asyncio.gather(first, last)

    assert tuple(found) == (1, 3)
    assert keys(database_url) == keys_of(*units)


async def test_close_commits_what_is_queued(database_url: str) -> None:
    """Closing records what was handed in before, and refuses what comes after."""
    async with Ledger(database_url) as ledger:
        waiting = [ledger.writer.submit(records()) for _ in range(3)]
    with pytest.raises(LedgerUnavailable):
        ledger.writer.submit(records())
    found = [answer.result() for answer in waiting]

    assert found == [1, 2, 3]
    assert positions(database_url) == [1, 2, 3]


async def test_a_database_that_cannot_write_is_unavailable(database_url: str) -> None:
    """A read-only database is LedgerUnavailable, no conflict and no fault of the unit."""
    async with Ledger(f"{database_url}&options=-c%20default_transaction_read_only%3Don") as ledger:
        found = await answers(ledger, [records(), records()])

    assert [type(answer) for answer in found] == [LedgerUnavailable, LedgerUnavailable]
    assert positions(database_url) == []
