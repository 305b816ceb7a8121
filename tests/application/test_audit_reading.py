"""Reads of the audit trail in the record: an event a minute at most, and no read lost."""

from datetime import timedelta

import pytest

from application.audit_reading import (
    AND_MORE,
    LONGEST_PARAMETERS,
    MOST_PARAMETERS,
    AuditReadingRecorder,
    record_at_once,
)
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


async def test_filters_that_are_many_or_long_are_cut(reads: Reads) -> None:
    """A reader cannot fill the log with what it asks for."""
    for number in range(MOST_PARAMETERS + 5):
        reads.read(parameters=f"{number}=" + "x" * 5000)

    await reads.recorder.flush()
    (event,) = reads.recorded

    assert event.count == MOST_PARAMETERS + 5
    assert len(event.parameters) == MOST_PARAMETERS + 1
    assert event.parameters[-1] == AND_MORE
    assert max(map(len, event.parameters)) == LONGEST_PARAMETERS


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


async def test_filters_are_harmless_text(reads: Reads) -> None:
    """What no database can keep as text, typed into a filter, does not get into the log."""
    reads.read(parameters="subject=a\x00b\ud800\x1b")

    await reads.recorder.flush()

    assert reads.recorded[0].parameters == ["subject=a?b??"]
