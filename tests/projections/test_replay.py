"""Lines of JSON out of PostgreSQL, of the whole trail and of what an index finds."""

import json
from collections.abc import Generator
from contextlib import closing
from typing import Any, cast

import pytest
from psycopg import Connection

from domain.client_configuration import Audiences
from projections import replay
from projections.audit_trail import last_position, search
from projections.event_filter import EventFilter
from projections.replay import entries, json_lines, page_of_lines
from tests.builders import a_client
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording
from tests.waiting import eventually

ODD = 'https://api.example/"\\x01'


@pytest.fixture
def trail(recording: Recording) -> str:
    """Twenty tokens of two clients."""
    other = a_client(client_id="other", audiences=Audiences(allowed=(ODD,), default=(ODD,)))
    for _ in range(5):
        recording.issue(3)
        recording.issue(1, client=other)
    catch_up(recording.database_url)
    return recording.database_url


def _positions(blocks: Any) -> list[int]:
    return [json.loads(line)["position"] for line in b"".join(blocks).splitlines()]


@pytest.mark.parametrize(
    ("which", "up_to", "positions"),
    [
        (EventFilter(), 20, list(range(1, 21))),
        (EventFilter(), 7, list(range(1, 8))),
        (EventFilter(), 0, []),
        (EventFilter(after=5, before=9), 20, [6, 7, 8]),
        (EventFilter(after=5), 4, []),
        (EventFilter(client_id="other"), 20, [4, 8, 12, 16, 20]),
        (EventFilter(client_id="other", after=4), 13, [8, 12]),
        (EventFilter(outcome="failure"), 20, []),
    ],
)
def test_lines_come_in_order(
    trail: str,
    monkeypatch: pytest.MonkeyPatch,
    which: EventFilter,
    up_to: int,
    positions: list[int],
) -> None:
    """Ranges are read at once and passed on in order; what an index finds is one query."""
    monkeypatch.setattr(replay, "RANGE_EVENTS", 3)

    assert _positions(json_lines(trail, which, up_to=up_to)) == positions


def test_a_line_says_what_an_entry_says(trail: str, session: Connection[Any]) -> None:
    """Quotes and backslashes in names come through; the page has the same lines."""
    (line, *_) = b"".join(json_lines(trail, EventFilter(after=3), up_to=20)).splitlines()
    (entry,) = search(EventFilter(after=3), limit=1).fetch(session)
    ((position, text),) = page_of_lines(EventFilter(after=3), limit=1).fetch(session)
    found = json.loads(line)

    assert (found["audience"], found["scope"]) == ([ODD], entry.scope)
    assert found["detail"] == entry.detail
    assert (position, json.loads(text)) == (4, found)


def test_entries_come_in_pages(
    trail: str, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page after page, up to the position that was the head."""
    monkeypatch.setattr(replay, "PAGE_EVENTS", 4)
    found = [entry.position for entry in entries(session, EventFilter(after=2), up_to=15)]

    assert found == list(range(3, 16))
    assert last_position().fetch(session) == [20]
    assert trail


def test_stopping_half_way_ends_the_readers(
    trail: str, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops reading leaves no connection behind."""
    monkeypatch.setattr(replay, "RANGE_EVENTS", 2)
    with closing(cast("Generator[bytes]", json_lines(trail, EventFilter(), up_to=20))) as lines:
        next(lines)
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'grantledger replay'"

    # PostgreSQL notices the end of a connection a moment later.
    eventually(lambda: session.execute(left).fetchall() == [(0,)])


@pytest.mark.parametrize("before", [0, 1])
def test_before_the_first_there_is_nothing(trail: str, before: int) -> None:
    """A filter that ends before everything is not one without an end."""
    which = EventFilter(before=before)

    assert _positions(json_lines(trail, which, up_to=20)) == []
