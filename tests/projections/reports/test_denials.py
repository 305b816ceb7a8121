"""Report 12: what was refused, added up over the events that count refusals."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.denial_log import MANY, Denial, DenialLog
from projections.reports.denials import DENIALS
from tests.builders import NOON, stream_id
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

DAY = 24 * 60
SECOND = timedelta(seconds=1)


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def _denial(client_id: str, reason: str, address: str = "there") -> Denial:
    return Denial(client_id, "token", "client_credentials", "invalid_client", reason, address)


def test_adds_up_what_was_refused(recording: Recording, session: Connection[Any]) -> None:
    """Equal causes are one row, whatever number of events counted them; the most frequent first."""
    story = Story(recording)
    log = DenialLog.start(
        stream_id(), process="p-1", hour="2026-03-03T12", provenance=story.act()
    )  # 1
    wrong = _denial("reporter", "wrong secret")

    def deny(denial: Denial, count: int, minutes: float = 1) -> None:
        provenance = story.act(minutes=minutes)
        log.deny(
            denial,
            count=count,
            first_at=story.now - SECOND,
            last_at=story.now,
            provenance=provenance,
        )
        story.record(log)

    deny(wrong, 3)  # 2
    deny(_denial("?", "unknown client"), 4)  # 3
    deny(Denial("", "authorize", "", "invalid_request", "no client_id", ""), 1)  # 4
    before = story.position
    deny(wrong, 2)  # 5
    deny(wrong.anonymised(), 100, minutes=DAY)
    story.settle()

    def row(denial: Denial, count: int, events: int, since: float, until: float) -> Any:
        what = (denial.error, denial.reason, denial.endpoint, denial.grant_type or None)
        who = (denial.client_id or None, denial.address or None)
        return (*what, *who, count, events, after(since) - SECOND, after(until))

    unknown = row(_denial("?", "unknown client"), 4, 1, 3, 3)
    nameless = row(Denial("", "authorize", "", "invalid_request", "no client_id", ""), 1, 1, 4, 4)
    flood = row(_denial(MANY, "wrong secret", MANY), 100, 1, 5 + DAY, 5 + DAY)
    assert asked(session, DENIALS, as_of=before) == [
        (*unknown, 3, 8),
        (*row(wrong, 3, 1, 2, 2), 3, 8),
        (*nameless, 3, 8),
    ]
    assert asked(session, DENIALS, as_of=story.now) == [
        (*flood, 4, 110),
        (*row(wrong, 5, 2, 2, 5), 4, 110),
        (*unknown, 4, 110),
        (*nameless, 4, 110),
    ]
    assert asked(session, DENIALS, as_of=story.now, most=1) == [(*flood, 4, 110)]
    assert asked(session, DENIALS, as_of=story.now, days=1) == [(*flood, 1, 100)]
    assert asked(session, DENIALS, as_of=story.now, client_id="?") == [(*unknown, 1, 4)]
    assert asked(session, DENIALS, as_of=story.now, error="invalid_request") == [(*nameless, 1, 1)]
    assert asked(session, DENIALS, as_of=story.now, address="there", most=1) == [
        (*row(wrong, 5, 2, 2, 5), 2, 9)
    ]
