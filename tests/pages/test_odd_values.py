"""Positions and moments that people type into the console: a refusal for each, no failure."""

import pytest

from api.console.overview import position_of
from api.console.search_page import moment_of
from application.errors import InvalidRequest


@pytest.mark.parametrize(
    "text", ["0" * 5000, "9" * 30, "9" * 5000, "-1", "\u0661", "1.5", " 1", ""]
)
def test_a_position_that_is_none(text: str) -> None:
    """However many digits: Python refuses to make a number of thousands."""
    with pytest.raises(InvalidRequest):
        position_of(text, "after")


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "yesterday", "2" * 5000]
)
def test_a_moment_that_is_none(text: str) -> None:
    """No calendar has the moment in UTC."""
    with pytest.raises(InvalidRequest):
        moment_of(text, "since")
