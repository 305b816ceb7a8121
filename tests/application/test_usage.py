"""Uses of clients in the record: an event a minute at most, and no use lost or doubled."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest

from application.usage import UsageRecorder
from domain.client_usage import ClientUsage
from tests.application.fakes import FakeClock, Fault, MemoryLog, SequentialIds, SlowLog
from tests.builders import NOON


class Counting:
    """A recorder with its log and clock, and how to use a client."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        self.clock = FakeClock()
        self.recorder = UsageRecorder(
            log=self.log, clock=self.clock, ids=SequentialIds(), process="p-1"
        )

    def use(self, client_id: str = "reporter", *, endpoint: str = "token", times: int = 1) -> None:
        """Let the client authenticate now."""
        for _ in range(times):
            self.recorder.note(client_id, endpoint=endpoint, at=self.clock.now())

    @property
    def recorded(self) -> list[ClientUsage.ClientUsed]:
        """Every use that is recorded."""
        return self.log.of(ClientUsage.ClientUsed)

    @property
    def counts(self) -> Counter[str]:
        """How many uses of each client are recorded."""
        counts: Counter[str] = Counter()
        for event in self.recorded:
            counts[event.client_id] += event.count
        return counts


@pytest.fixture
def counting() -> Counting:
    """A recorder that has nothing to record yet."""
    return Counting()


async def test_a_minute_of_a_client_is_one_event(counting: Counting) -> None:
    """All uses of a client since the last flush are one event: their number, by endpoint, and the
    last moment; each client has its own.
    """
    counting.use(times=40)
    counting.clock.advance(seconds=50)
    counting.use(endpoint="introspect", times=2)
    counting.use("other")
    counting.clock.advance(seconds=10)

    await counting.recorder.flush()
    used = {event.client_id: event for event in counting.recorded}

    assert len(counting.recorded) == 2
    assert used["reporter"].by_endpoint == {"token": 40, "introspect": 2}
    assert (used["reporter"].count, used["other"].count) == (42, 1)
    assert used["reporter"].last_at == NOON + timedelta(seconds=50)
    assert used["reporter"].originator_id != used["other"].originator_id


async def test_an_unused_client_costs_nothing(counting: Counting) -> None:
    """A minute without uses writes nothing, also for a client that was used before."""
    counting.use()
    await counting.recorder.flush()
    recorded = len(counting.log.events)

    await counting.recorder.flush()

    assert len(counting.log.events) == recorded


async def test_a_log_that_went_back_has_a_fresh_stream(counting: Counting) -> None:
    """A stream whose last events the log may have lost is not gone on with: versions would lack."""
    counting.use()
    await counting.recorder.flush()
    counting.log.generation += 1
    counting.use()
    await counting.recorder.flush()

    streams = [event.originator_id for event in counting.recorded]
    assert len(set(streams)) == 2
    assert counting.counts == {"reporter": 2}


async def test_each_day_has_a_stream(counting: Counting) -> None:
    """The minutes of one day (UTC) share a stream for each client, the next day begins another."""
    for hours in (5, 7, 5, 0):
        counting.use()
        await counting.recorder.flush()
        counting.clock.advance(hours=hours)
    streams = [event.originator_id for event in counting.recorded]

    assert [event.day for event in counting.log.of(ClientUsage.Started)] == [
        "2026-03-03",
        "2026-03-04",
    ]
    assert streams[0] == streams[1] != streams[2] == streams[3]


@pytest.mark.parametrize("fault", list(Fault))
async def test_an_outage_loses_and_doubles_nothing(counting: Counting, fault: Fault) -> None:
    """A save without an answer is looked up before anything is written again."""
    counting.use(times=3)
    counting.log.save_faults.append(fault)
    await counting.recorder.flush()
    counting.clock.advance(minutes=1)
    counting.use(endpoint="revoke", times=2)

    await counting.recorder.flush()

    assert counting.counts == {"reporter": 5}
    assert counting.recorded[-1].last_at == NOON + timedelta(minutes=1)


async def test_the_last_use_is_the_latest(counting: Counting) -> None:
    """Uses that are taken back after an outage do not set back the last moment."""
    counting.use()
    counting.log.save_faults.append(Fault.LOST)
    await counting.recorder.flush()

    counting.clock.advance(minutes=1)
    await counting.recorder.flush()

    assert counting.recorded[-1].last_at == NOON


@pytest.mark.parametrize("unreadable", range(3))
async def test_settling_may_be_interrupted(counting: Counting, unreadable: int) -> None:
    """Where the log goes away again while several clients' doubts are being settled, those that
    were settled first are not forgotten.
    """
    for client_id in ("a", "b", "c"):
        counting.use(client_id)
    counting.log.save_faults.extend([Fault.LOST] * 3)
    await counting.recorder.flush()
    counting.log.load_faults.extend([False] * unreadable + [True])

    await counting.recorder.flush()
    interrupted = counting.counts
    await counting.recorder.flush()

    assert interrupted == {}
    assert counting.counts == {"a": 1, "b": 1, "c": 1}


async def test_a_shutdown_in_the_middle_loses_nothing() -> None:
    """A flush that is cancelled while one client is being recorded leaves the others to the next
    flush: the service does so when it stops.
    """
    log = SlowLog()
    counting = Counting(log)
    for client_id in ("a", "b", "c"):
        counting.use(client_id)
    flush = asyncio.create_task(counting.recorder.flush())
    await log.saving.wait()
    flush.cancel()
    with suppress(asyncio.CancelledError):
        await flush

    log.going_on.set()
    await counting.recorder.flush()

    assert counting.counts == {"a": 1, "b": 1, "c": 1}
