"""Report 20: pauses, gaps, clocks set back, clocks that differ, and read models behind."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from projections.query import answered
from projections.registry import PROJECTIONS
from projections.reports.asking import answering
from projections.reports.log_health import LOG_HEALTH
from tests.builders import NOON, POLICY
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def after(minutes: float, seconds: float = 0) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def _summary(*values: float, first: int | None = None, last: int) -> list[Any]:
    names = (
        ("events", "events", first, last),
        ("positions missing", "positions", None, None),
        ("longest pause", "seconds", None, None),
        ("recorded backwards", "events", None, None),
        ("largest step back", "seconds", None, None),
        ("skewed", "events", None, None),
        ("process ahead", "seconds", None, None),
        ("recorded late", "seconds", None, None),
        ("age of the last event", "seconds", None, last),
    )
    return [
        ("summary", name, float(value), unit, position, other, None, None)
        for (name, unit, position, other), value in zip(names, values, strict=True)
    ]


def _disturbed(recording: Recording, session: Connection[Any]) -> Story:
    """A minute between events but for a pause; then a gap, a clock set back, and clocks apart."""
    story = Story(recording)
    for name in ("one", "two", "three", "four"):
        story.principal(name)  # 1 to 4
    story.act(minutes=90)
    for name in ("five", "six", "seven"):
        story.principal(name)  # 5 to 7, from minute 95
    story.settle()
    session.execute("UPDATE read.audit_trail SET position = position + 10 WHERE position > 6")
    session.execute(
        "UPDATE read.audit_trail SET recorded_at = recorded_at - interval '2 minutes 0.5 seconds'"
        " WHERE position = 6"
    )
    session.execute(
        "UPDATE read.audit_trail SET recorded_at = recorded_at + interval '30 seconds'"
        " WHERE position = 3"
    )
    return story


def test_finds_what_is_wrong(recording: Recording, session: Connection[Any]) -> None:
    """Each finding with the events on both sides of it, and the summary of all."""
    story = _disturbed(recording, session)
    six = after(93, 59.5)
    pause = (*("pause", "principal.registered", 5460.0, "seconds", 5, 4, after(95), after(4)),)
    late = ("skew", "principal.registered", 30.0, "seconds", 3, 2, after(3, 30), after(3))

    assert asked(session, LOG_HEALTH, as_of=5) == [
        *_summary(5, 0, 5460, 0, 0, 1, 0, 30, 0, first=1, last=5),
        pause,
        late,
    ]
    found = [
        *_summary(7, 10, 5460, 1, 60.5, 2, 120.5, 30, 0, first=1, last=17),
        pause,
        ("gap", "principal.registered", 10.0, "positions", 17, 6, after(97), six),
        ("backwards", "principal.registered", -60.5, "seconds", 6, 5, six, after(95)),
        ("skew", "principal.registered", -120.5, "seconds", 6, 5, six, after(96)),
        late,
    ]
    assert asked(session, LOG_HEALTH, as_of=story.now) == found
    assert asked(session, LOG_HEALTH, as_of=story.now, most=1) == found[:-1]
    assert asked(session, LOG_HEALTH, as_of=story.now, pause=91, skew=121) == [
        *_summary(7, 10, 5460, 1, 60.5, 0, 120.5, 30, 0, first=1, last=17),
        *found[10:12],
    ]


def test_a_silence_that_goes_on_is_a_pause(recording: Recording, session: Connection[Any]) -> None:
    """That nothing was recorded since says so, too; a log without events says nothing more."""
    story = Story(recording)
    story.principal("one")
    story.settle()

    assert asked(session, LOG_HEALTH, as_of=after(62))[-1] == (
        *("pause", "nothing since", 3660.0, "seconds", None, 1, None, after(1)),
    )
    assert asked(session, LOG_HEALTH, as_of=after(61))[-1][:3] == (
        *("summary", "age of the last event", 3600.0),
    )
    assert asked(session, LOG_HEALTH, as_of=0)[0] == (
        *("summary", "events", 0.0, "events", None, None, None, None),
    )


def test_tells_the_lag_of_now_only(recording: Recording, session: Connection[Any]) -> None:
    """How far read models are behind is known only live: no answer about the past has it."""
    story = Story(recording)
    story.principal("one")
    story.settle()

    def projections(asked_at: int | None) -> list[Any]:
        asking = answering(LOG_HEALTH, {}, asked_at, now=after(2), policy=POLICY)
        return [row for row in answered(asking, session).rows if row[0] == "projection"]

    assert projections(None) == [
        ("projection", one.name, 0.0, "seconds", 1, 1, None, None) for one in PROJECTIONS
    ]
    assert projections(1) == []
