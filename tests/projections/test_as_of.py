"""Moments and positions of the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from projections.as_of import AsOf, UnreadableAsOf, parse_as_of, resolve
from projections.audit_trail import search
from projections.query import answered
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1042", 1042),
        (" 0 ", 0),
        ("2026-03-03", datetime(2026, 3, 3, tzinfo=UTC)),
        ("2026-03-03T12:00:00Z", NOW),
        ("2026-03-03T13:00:00+01:00", NOW),
        ("2026-03-03 12:00", NOW),
        ("-90d", NOW - timedelta(days=90)),
        ("-12h", NOW - timedelta(hours=12)),
        ("-30m", NOW - timedelta(minutes=30)),
        ("-5s", NOW - timedelta(seconds=5)),
    ],
)
def test_reads_positions_and_moments(text: str, meant: object) -> None:
    """Digits are a position, everything else a moment in UTC."""
    assert parse_as_of(text, now=NOW) == meant


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-1y", "-d", "9" * 19, "²", "0001-01-01T00:00:00+14:00", "-999999d"]
)
def test_refuses_anything_else(text: str) -> None:
    """What is neither gets a message with an example of both."""
    with pytest.raises(UnreadableAsOf):
        parse_as_of(text, now=NOW)


def test_a_moment_is_a_prefix_of_the_log(recording: Recording, session: Connection[Any]) -> None:
    """Everything recorded up to the moment, and nothing that was recorded later."""
    recording.issue(2)
    recording.issue(3)
    catch_up(recording.database_url)
    first, *_, last = search().fetch(session)
    now = last.recorded_at + timedelta(seconds=1)
    instant = timedelta(microseconds=1)

    assert _resolved(session, None, now) == AsOf(5, now)
    assert _resolved(session, first.recorded_at, now) == AsOf(2, first.recorded_at)
    assert _resolved(session, first.recorded_at - instant, now).position == 0
    assert _resolved(session, last.recorded_at - instant, now).position == 2
    assert _resolved(session, now + timedelta(days=1), now) == AsOf(5, now)


def test_a_position_has_the_moment_it_was_recorded(
    recording: Recording, session: Connection[Any]
) -> None:
    """Position 0 is before everything; one above the head means the head, and now."""
    recording.issue(2)
    catch_up(recording.database_url)
    first = search().fetch(session)[0]

    assert _resolved(session, 1, NOW) == AsOf(1, first.recorded_at)
    assert _resolved(session, 0, NOW).position == 0
    assert _resolved(session, 999, NOW) == AsOf(2, NOW)


def test_the_log_decides_where_the_clock_was_set_back(
    recording: Recording, session: Connection[Any]
) -> None:
    """An event recorded under an earlier time than its predecessor is not known before it."""
    recording.issue(3)
    catch_up(recording.database_url)
    session.execute(
        "UPDATE read.audit_trail_b1 SET recorded_at = recorded_at - interval '1 hour'"
        " WHERE position = 3"
    )
    first = search().fetch(session)[0]
    before = first.recorded_at - timedelta(minutes=30)

    assert _resolved(session, before, NOW).position == 0
    assert _resolved(session, first.recorded_at, NOW + timedelta(days=999)).position == 3


def _resolved(session: Connection[Any], asked: int | datetime | None, now: datetime) -> AsOf:
    return answered(resolve(asked, now=now), session)
