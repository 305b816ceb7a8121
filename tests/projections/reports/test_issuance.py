"""Report 11: tokens by client, grant type and day, and when a day is not as expected."""

from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from domain.access_token import AccessToken
from domain.client import Client
from projections.reports.issuance import ISSUANCE, Band, expected, verdict
from projections.reports.parameters import UnusableParameter
from tests.builders import NOON, POLICY, SIGNING
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

DAY = 24 * 60
HOW = "client_credentials"


@pytest.mark.parametrize(
    ("counts", "band"),
    [
        pytest.param([5] * 6, None, id="too few days"),
        pytest.param([100] * 7, Band(100, 0, 90, 110), id="no spread: ten tokens and a tenth"),
        pytest.param([1000] * 7, Band(1000, 0, 900, 1100), id="no spread: a tenth"),
        pytest.param([0] * 7, Band(0, 0, 0, 10), id="never below nothing"),
        pytest.param(
            [10, 20, 30, 40, 50, 60, 70, 80], Band(45, 20, 0, 145), id="of an even number"
        ),
        pytest.param([90, 100, 95, 110, 105, 100, 9000], Band(100, 5, 75, 125), id="one wild day"),
    ],
)
def test_the_arithmetic_of_the_band(counts: list[int], band: Band | None) -> None:
    """Median and median deviation, five of these to either side, never less than the floor."""
    assert expected(counts, width=5) == band


@pytest.mark.parametrize(
    ("tokens", "over", "called"),
    [
        (75, True, "within"),
        (74, True, "below"),
        (74, False, "within"),
        (125, True, "within"),
        (126, True, "above"),
        (126, False, "above"),
    ],
)
def test_what_a_day_is_called(tokens: int, over: bool, called: str) -> None:
    """Both ends of the band are within it; a day that is not over is not too quiet yet."""
    assert verdict(tokens, Band(100, 5, 75, 125), over=over) == called
    assert verdict(tokens, None, over=over) == "new"


def _history(recording: Recording) -> Story:
    """Eight days with 12 tokens each, one with 30, one with none; on the last two another client's.

    They begin at noon of 3 March; the last act is on 13 March.
    """
    story = Story(recording)
    client, other = story.client("busy"), story.client("seldom")
    for day, count in enumerate([12] * 8 + [30, 0, 1]):
        story.now = NOON + timedelta(days=day, hours=1)
        tokens = [_token(story, client) for _ in range(count)]
        if day >= 9:
            tokens.append(_token(story, other))
        story.record(*tokens)
    story.settle()
    return story


def _token(story: Story, client: Client) -> AccessToken:
    provenance = story.act(minutes=1 / 60)
    return client.issue_token(
        story.request(),
        grant_type=HOW,
        owner=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=provenance,
    )


def test_flags_the_unexpected(recording: Recording, session: Connection[Any]) -> None:
    """A wild day is above, a silent one below, a new client's new; the present day is not over."""
    story = _history(recording)
    steady = ("busy", HOW)

    def rows(as_of: Any, **given: Any) -> list[Any]:
        return asked(session, ISSUANCE, as_of=as_of, **given)

    days = [f"2026-03-{day:02}" for day in range(3, 14)]
    fresh = [(*steady, day, 12, *(None,) * 4, place, "new") for place, day in enumerate(days[:7])]
    usual = (12.0, 0.0, 2.0, 22.0)
    wild = (*steady, days[8], 30, *usual, 8, "above")
    silent = (*steady, days[9], 0, *usual, 9, "below")
    begun = [
        ("seldom", HOW, day, 1, *(None,) * 4, known, "new") for known, day in enumerate(days[9:])
    ]
    everything = [
        *fresh,
        (*steady, days[7], 12, *usual, 7, "within"),
        wild,
        silent,
        (*steady, days[10], 1, *usual, 10, "within"),
        *begun,
    ]
    assert rows(story.now) == everything
    first = NOON + timedelta(days=8)
    assert rows(first, verdict="within") == [(*steady, days[7], 12, *usual, 7, "within")]
    assert rows(story.now, verdict="above") == [wild]
    assert rows(story.now, client_id="seldom") == begun
    assert rows(story.now, days=2, client_id="busy") == [silent, everything[10]]
    assert rows(story.now, days=2, baseline=7, width=1) == [
        (*silent[:4], *usual, 7, "below"),
        (*everything[10][:4], *usual, 7, "within"),
        *begun,
    ]


def test_refuses_an_unknown_verdict(recording: Recording, session: Connection[Any]) -> None:
    """Not "nothing was flagged" where it was only misspelt."""
    story = Story(recording)
    story.principal("alice")
    story.settle()

    with pytest.raises(UnusableParameter, match="verdict: above, below, within or new, not 'over'"):
        asked(session, ISSUANCE, as_of=NOON, verdict="over")
