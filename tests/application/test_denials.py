"""Refusals in the record: a flood costs a few events a second, and the counts still add up."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest

from application.denials import BURST, KEYS, MOST_KEYS, PER_SECOND, DenialRecorder
from application.ledger.errors import Conflict, UnitRejected
from domain.denial_log import MANY, Denial, DenialLog
from domain.provenance import Provenance
from tests.application.fakes import FakeClock, Fault, MemoryLog, SequentialIds, SlowLog
from tests.builders import NOON

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_denial(number: int = 0, *, reason: str = "wrong secret") -> Denial:
    """Return the refusal of the client and address `number`."""
    return Denial(
        client_id=f"client-{number}",
        endpoint="token",
        grant_type="client_credentials",
        error="invalid_client",
        reason=reason,
        address=f"address-{number}",
    )


class Gate:
    """A recorder with its log and clock, and how to refuse."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        self.clock = FakeClock()
        self._requests = SequentialIds()
        self.recorder = DenialRecorder(
            log=self.log, clock=self.clock, ids=SequentialIds(), process="p-1"
        )

    def refuse(self, denial: Denial, times: int = 1) -> None:
        """Refuse now, each time in a request of its own."""
        for _ in range(times):
            provenance = Provenance(self.clock.now(), self._requests.request_id(), TRACE)
            self.recorder.note(denial, provenance)

    async def flush(self, *, everything: bool = False) -> list[DenialLog.GrantDenied]:
        """Flush and return what that recorded."""
        before = len(self.recorded)
        await self.recorder.flush(everything=everything)
        return self.recorded[before:]

    @property
    def recorded(self) -> list[DenialLog.GrantDenied]:
        """Every refusal that is recorded."""
        return self.log.of(DenialLog.GrantDenied)

    @property
    def counts(self) -> Counter[str]:
        """How many refusals of each client are recorded."""
        return counts_of(self.recorded)


def counts_of(denied: list[DenialLog.GrantDenied]) -> Counter[str]:
    """Return how many refusals `denied` holds of each client."""
    counts: Counter[str] = Counter()
    for event in denied:
        counts[event.client_id] += event.count
    return counts


@pytest.fixture
def gate() -> Gate:
    """A recorder that has nothing to record yet."""
    return Gate()


async def test_records_a_refusal_with_its_circumstances(gate: Gate) -> None:
    """One refusal becomes one event on the stream of its hour, with cause, request and trace."""
    gate.refuse(a_denial())

    (denied,) = await gate.flush()
    (started,) = gate.log.of(DenialLog.Started)

    assert (started.process, started.hour) == ("p-1", "2026-03-03T12Z")
    assert denied.originator_id == started.originator_id
    assert (denied.client_id, denied.address) == ("client-0", "address-0")
    assert (denied.endpoint, denied.grant_type) == ("token", "client_credentials")
    assert (denied.error, denied.reason) == ("invalid_client", "wrong secret")
    assert (denied.count, denied.first_at, denied.last_at) == (1, NOON, NOON)
    assert (denied.request_id, denied.traceparent) == (f"req_{1:024x}", TRACE)


async def test_records_nothing_where_nothing_was_refused(gate: Gate) -> None:
    """A quiet second opens no stream and writes nothing."""
    await gate.flush()
    await gate.flush(everything=True)

    assert gate.log.units == []


async def test_a_flood_of_one_cause_is_one_event_a_second(gate: Gate) -> None:
    """10,000 refusals of one cause in five seconds become five events of one stream that add up,
    each with its time span and its last request.
    """
    for _ in range(10_000):
        gate.refuse(a_denial())
        gate.clock.advance(milliseconds=0.5)
        if gate.clock.now().microsecond == 0:
            await gate.flush()

    second, tick = timedelta(seconds=1), timedelta(milliseconds=0.5)
    assert [event.count for event in gate.recorded] == [2_000] * 5
    assert [(event.first_at, event.last_at) for event in gate.recorded] == [
        (NOON + number * second, NOON + (number + 1) * second - tick) for number in range(5)
    ]
    assert [event.request_id for event in gate.recorded] == [
        f"req_{2_000 * number:024x}" for number in range(1, 6)
    ]
    assert len(gate.log.of(DenialLog.Started)) == 1


async def test_a_flood_of_many_causes_is_a_few_events_a_second(gate: Gate) -> None:
    """10,000 refusals of as many clients and addresses in five seconds: a burst, then a few events
    a second; what is too much to tell apart keeps its cause and its count, without who and where.
    """
    per_flush = []
    for number in range(10_000):
        gate.refuse(a_denial(number))
        if number % 2_000 == 1_999:
            gate.clock.advance(seconds=1)
            per_flush.append(len(await gate.flush()))
    rest = await gate.flush(everything=True)

    assert per_flush == [BURST, *[int(PER_SECOND)] * 4]
    assert len(rest) <= KEYS + 1
    assert gate.counts.total() == 10_000
    assert gate.counts[MANY] == 10_000 - (len(gate.counts) - 1)
    assert {(e.error, e.reason, e.endpoint) for e in gate.recorded} == {
        ("invalid_client", "wrong secret", "token")
    }
    assert {e.address for e in gate.recorded if e.client_id == MANY} == {MANY}


async def test_in_a_flood_each_cause_is_counted_apart(gate: Gate) -> None:
    """Where who and where are given up, the reasons still have counts of their own, and a client
    that was known before keeps its name.
    """
    for number in range(KEYS):
        gate.refuse(a_denial(number))
    gate.refuse(a_denial(0), times=10)
    gate.refuse(a_denial(-1), times=20)
    gate.refuse(a_denial(-2, reason="client disabled"), times=30)

    denied = await gate.flush(everything=True)

    assert counts_of(denied)["client-0"] == 11
    assert {e.reason: e.count for e in denied if e.client_id == MANY} == {
        "wrong secret": 20,
        "client disabled": 30,
    }


async def test_a_flood_of_reasons_takes_no_more_room(gate: Gate) -> None:
    """Some name what the caller asked for: it can make up as many as it likes, and gets one event
    for all that are too many. Nothing goes uncounted.
    """
    for number in range(3 * MOST_KEYS):
        gate.refuse(a_denial(number, reason=f"beyond what was granted: {number}"))
    denied = await gate.flush(everything=True)

    assert len(denied) == MOST_KEYS + 1
    assert sum(event.count for event in denied) == 3 * MOST_KEYS
    assert [event.count for event in denied if event.reason == MANY] == [2 * MOST_KEYS]


async def test_what_the_budget_leaves_keeps_counting(gate: Gate) -> None:
    """A cause that has to wait is recorded later with all its refusals and its whole time span."""
    for number in range(BURST + 1):
        gate.refuse(a_denial(number))
    await gate.flush()
    gate.clock.advance(seconds=1)
    gate.refuse(a_denial(BURST), times=4)

    (waited,) = await gate.flush()

    assert (waited.client_id, waited.count) == (f"client-{BURST}", 5)
    assert (waited.first_at, waited.last_at) == (NOON, NOON + timedelta(seconds=1))


async def test_quiet_fills_the_budget_up_to_a_burst(gate: Gate) -> None:
    """However long it was quiet, one flush writes no more than a burst."""
    gate.clock.advance(hours=3)
    for number in range(2 * BURST):
        gate.refuse(a_denial(number))

    assert len(await gate.flush()) == BURST
    assert len(await gate.flush()) == 0


async def test_writing_everything_is_paid_for_afterwards(gate: Gate) -> None:
    """What was written beyond the budget is not written again on top: the next flush waits until
    the budget is back.
    """
    for number in range(2 * BURST):
        gate.refuse(a_denial(number))
    everything = await gate.flush(everything=True)
    for number in range(2 * BURST):
        gate.refuse(a_denial(number))

    assert len(everything) == 2 * BURST
    assert await gate.flush() == []

    gate.clock.advance(seconds=BURST / PER_SECOND + 1)

    assert 0 < len(await gate.flush()) <= BURST


async def test_a_log_that_went_back_has_a_fresh_stream(gate: Gate) -> None:
    """A stream whose last events the log may have lost is not gone on with: versions would lack."""
    gate.refuse(a_denial())
    first = await gate.flush()
    gate.log.generation += 1
    gate.refuse(a_denial())
    second = await gate.flush()

    assert (len(first), len(second)) == (1, 1)
    assert first[0].originator_id != second[0].originator_id


async def test_each_hour_has_a_stream(gate: Gate) -> None:
    """Refusals of one hour share a stream, those of the next begin another."""
    for minutes in (20, 30, 20):
        gate.refuse(a_denial())
        await gate.flush()
        gate.clock.advance(minutes=minutes)

    hours = [event.hour for event in gate.log.of(DenialLog.Started)]
    streams = [event.originator_id for event in gate.recorded]
    assert hours == ["2026-03-03T12Z"]
    assert len(set(streams)) == 1

    gate.refuse(a_denial())
    (denied,) = await gate.flush()

    assert gate.log.of(DenialLog.Started)[-1].hour == "2026-03-03T13Z"
    assert denied.originator_id not in streams


@pytest.mark.parametrize("fault", list(Fault))
async def test_an_outage_loses_and_doubles_nothing(gate: Gate, fault: Fault) -> None:
    """A save without an answer is looked up before anything is written again: what was recorded
    after all is not doubled, what was not is not lost, with its span.
    """
    gate.refuse(a_denial(0), times=3)
    gate.log.save_faults.append(fault)
    await gate.flush()
    gate.clock.advance(seconds=2)
    gate.refuse(a_denial(0), times=2)

    await gate.flush()

    assert gate.counts == {"client-0": 5}
    assert min(event.first_at for event in gate.recorded) == NOON
    assert max(event.last_at for event in gate.recorded) == NOON + timedelta(seconds=2)
    assert len(gate.recorded) == (2 if fault is Fault.IN_DOUBT else 1)


@pytest.mark.parametrize("fault", list(Fault))
async def test_waits_until_the_doubt_can_be_settled(gate: Gate, fault: Fault) -> None:
    """While the log cannot be read either, nothing is written, at shutdown neither: it might be
    written twice.
    """
    gate.refuse(a_denial(0), times=3)
    gate.log.save_faults.append(fault)
    await gate.flush()
    saved = len(gate.log.units)
    gate.refuse(a_denial(1))
    gate.log.load_faults.extend([True, True])

    await gate.flush()
    await gate.flush(everything=True)

    assert len(gate.log.units) == saved

    await gate.flush()

    assert gate.counts == {"client-0": 3, "client-1": 1}


@pytest.mark.parametrize("error", [Conflict, UnitRejected])
async def test_a_refused_unit_is_written_again(gate: Gate, error: type[Exception]) -> None:
    """A unit that the log refused counts again, on a stream of its own."""

    def refuse() -> None:
        raise error

    gate.refuse(a_denial())
    await gate.flush()
    gate.refuse(a_denial())
    gate.log.meanwhile = refuse
    await gate.flush()

    await gate.flush()

    assert gate.counts == {"client-0": 2}
    assert len({event.originator_id for event in gate.recorded}) == 2


async def test_what_was_taken_back_counts_with_the_new(gate: Gate) -> None:
    """After an outage the request that is named is the last one, whichever was counted first."""
    gate.refuse(a_denial())
    gate.log.save_faults.append(Fault.LOST)
    await gate.flush()
    gate.clock.advance(seconds=1)
    gate.refuse(a_denial())

    (denied,) = await gate.flush()

    assert (denied.count, denied.request_id) == (2, f"req_{2:024x}")


async def test_a_shutdown_in_the_middle_starts_anew() -> None:
    """A flush that is cancelled while it is being recorded is not written again, and what follows
    does not build on a stream whose last event may be missing.
    """
    log = SlowLog()
    gate = Gate(log)
    gate.refuse(a_denial())
    flush = asyncio.create_task(gate.flush())
    await log.saving.wait()
    flush.cancel()
    with suppress(asyncio.CancelledError):
        await flush
    gate.refuse(a_denial(), times=2)

    log.going_on.set()
    await gate.flush(everything=True)

    assert gate.counts == {"client-0": 3}
    assert [event.originator_version for event in gate.recorded] == [2, 2]
