"""Reads of the audit trail in the record: an event a minute at most, and no read lost."""

from datetime import timedelta

import pytest

from application.audit_reading import (
    EVENT_CHARACTERS,
    MOST_CHARACTERS,
    SOON_CHARACTERS,
    AuditReadingRecorder,
    as_query,
    record_at_once,
)
from application.errors import TemporarilyUnavailable
from application.ledger.errors import LedgerError
from domain.audit_reading import AuditReading, Reading
from domain.provenance import Provenance
from tests.application.fakes import FakeClock, Fault, MemoryLog, SequentialIds
from tests.builders import NOON


class Reads:
    """A recorder with its log and clock, and how to read."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.clock = FakeClock()
        self.recorder = AuditReadingRecorder(
            log=self.log, clock=self.clock, ids=SequentialIds(), process="p-1"
        )

    def read(self, reader: str = "auditor", what: str = "events", parameters: str = "") -> None:
        """Let `reader` read now."""
        self.recorder.note(
            reader=reader,
            via="http",
            what=what,
            parameters=parameters,
            provenance=Provenance(self.clock.now(), "req_1"),
        )

    @property
    def recorded(self) -> list[AuditReading.AuditRead]:
        """Every read that is recorded."""
        return self.log.of(AuditReading.AuditRead)


@pytest.fixture
def reads() -> Reads:
    """A recorder that has nothing to record yet."""
    return Reads()


async def test_a_minute_of_a_reader_is_one_event(reads: Reads) -> None:
    """Reads of one kind since the last flush are one event with their number, filters and span;
    other readers and other matters have their own, all in the one stream of the process.
    """
    reads.read(parameters="topic=grant.denied")
    reads.clock.advance(seconds=50)
    reads.read(parameters="topic=grant.denied")
    reads.read(parameters="jti=1")
    reads.read("other")
    reads.read(what="token")

    await reads.recorder.flush()
    first, *others = reads.recorded

    assert (first.by, first.via, first.what, first.count) == ("auditor", "http", "events", 3)
    assert first.parameters == ["topic=grant.denied", "jti=1"]
    assert (first.first_at, first.last_at) == (NOON, NOON + timedelta(seconds=50))
    assert [(event.by, event.what) for event in others] == [
        ("other", "events"),
        ("auditor", "token"),
    ]
    assert {event.originator_id for event in others} == {first.originator_id}


@pytest.mark.parametrize("fault", list(Fault))
async def test_an_outage_loses_and_doubles_nothing(reads: Reads, fault: Fault) -> None:
    """A save without an answer is looked up before anything is written again."""
    reads.read()
    reads.log.save_faults.append(fault)
    await reads.recorder.flush()
    reads.clock.advance(minutes=1)
    await reads.recorder.flush()  # until then no more is answered
    reads.read()

    await reads.recorder.flush()

    assert sum(event.count for event in reads.recorded) == 2


async def test_each_day_has_a_stream(reads: Reads) -> None:
    """The next day (UTC) begins another stream."""
    for hours in (1, 24, 0):
        reads.read()
        await reads.recorder.flush()
        reads.clock.advance(hours=hours)

    assert len(reads.log.of(AuditReading.Started)) == 2


async def test_no_parameter_is_left_out_or_cut(reads: Reads) -> None:
    """An auditor who asks for forty things in a minute, or for one behind a long value, hides none:
    what does not fit an event is in another one, and nothing is counted twice.
    """
    asked = [f"subject=person-{number}" for number in range(40)]
    asked += [f"subject={'x' * 5000}{number}" for number in range(10)]
    asked.append("client_id=" + "y" * (EVENT_CHARACTERS + 1))
    for parameters in asked:
        reads.read(parameters=parameters)

    await reads.recorder.flush()

    told = [one for event in reads.recorded for one in event.parameters]
    assert sorted(told) == sorted(asked)
    assert sum(event.count for event in reads.recorded) == len(asked)
    assert all(event.whole for event in reads.recorded)
    assert 1 < len(reads.recorded) < 8


async def test_the_same_question_again_makes_no_event_larger(reads: Reads) -> None:
    """A page that asks for the same again and again is one entry, with its count."""
    for _ in range(10_000):
        reads.read(parameters="client_id=" + "z" * 100)

    await reads.recorder.flush()
    (event,) = reads.recorded

    assert (event.count, len(event.parameters)) == (10_000, 1)


async def test_much_is_recorded_before_the_minute_is_over(reads: Reads) -> None:
    """Who asks for ever new things is recorded sooner, so that little is lost with a process."""
    reads.read(parameters="a=1")
    calm = reads.recorder.much.is_set()
    reads.read(parameters="b=" + "x" * SOON_CHARACTERS)
    eager = reads.recorder.much.is_set()
    await reads.recorder.flush()

    assert (calm, eager, reads.recorder.much.is_set()) == (False, True, False)


async def test_what_cannot_be_recorded_is_not_answered(reads: Reads) -> None:
    """While the log takes nothing, reads are refused once too much waits; what waits is kept."""
    half = MOST_CHARACTERS // 2
    reads.read(parameters="a=" + "x" * half)
    reads.read(parameters="b=" + "x" * (half - 10))
    with pytest.raises(TemporarilyUnavailable):
        reads.read(parameters="c=123456789")
    await reads.recorder.flush()
    reads.read(parameters="d=1")
    await reads.recorder.flush()

    assert [event.parameters[0][:2] for event in reads.recorded] == ["a=", "b=", "d="]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("topic", "x client_id=y")], "topic=x%20client_id%3Dy"),
        ([("a", "1&b=2")], "a=1%26b%3D2"),
        ([("a", "1"), ("a", "2")], "a=1&a=2"),
        ([("name", "Zo\u00eb")], "name=Zo%C3%AB"),
        ([("subject", "a\x00b\ud800\x1b")], "subject=a%00b%ED%A0%80%1B"),
        ([("since", "2026-03-03T12:00:00Z")], "since=2026-03-03T12:00:00Z"),
    ],
)
def test_parameters_are_read_in_one_way(given: list[tuple[str, str]], expected: str) -> None:
    """No value looks like another parameter, and what no database keeps as text is escaped."""
    assert as_query(given) == expected


async def test_a_command_records_at_once() -> None:
    """What an operator reads is in the log when the call returns; where that fails, it says so."""
    log = MemoryLog()
    given = {
        "parameters": "topic=token.issued",
        "process": "p-1",
        "ids": SequentialIds(),
        "provenance": Provenance(NOON, "req_1"),
    }
    await record_at_once(Reading("cli:op", "cli", "events"), log=log, **given)  # type: ignore[arg-type]
    log.save_faults.append(Fault.LOST)
    with pytest.raises(LedgerError):
        await record_at_once(Reading("cli:op", "cli", "events"), log=log, **given)  # type: ignore[arg-type]
    (event,) = log.of(AuditReading.AuditRead)

    assert (event.by, event.count, event.parameters) == ("cli:op", 1, ["topic=token.issued"])


async def test_a_read_of_everything_does_not_look_narrowed(reads: Reads) -> None:
    """A read without a filter is told apart from one with a filter in the same minute."""
    reads.read(parameters="subject=bob")
    reads.read()
    reads.read(what="token")

    await reads.recorder.flush()

    assert [event.parameters for event in reads.recorded] == [["subject=bob", ""], []]


async def test_no_read_is_answered_that_might_leave_no_trace(reads: Reads) -> None:
    """Where the log did not take what was read, the next read is refused, and the log is asked
    again at once; what was answered before is recorded then, once.
    """
    reads.read(parameters="subject=alice")
    reads.log.save_faults.append(Fault.LOST)
    await reads.recorder.flush()
    with pytest.raises(TemporarilyUnavailable):
        reads.read(parameters="subject=bob")

    assert reads.recorder.much.is_set()

    await reads.recorder.flush()
    reads.read(parameters="subject=carol")
    await reads.recorder.flush()

    assert [event.parameters for event in reads.recorded] == [["subject=alice"], ["subject=carol"]]


async def test_what_cannot_be_recorded_at_the_end_is_logged(
    reads: Reads, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that ends while the log is away leaves the reads in its own log."""
    reads.read(parameters="subject=alice")
    reads.log.save_faults.append(Fault.LOST)

    await reads.recorder.close()

    assert "auditor read events over http, 1 times" in caplog.text
    assert "subject=alice" in caplog.text
