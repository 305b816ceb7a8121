"""No page of the console is left out of the table of refusals, no parameter out of the record."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api import console
from api.console import routes
from api.console.login import LOGIN_PATH
from api.console.routes import PAGES, PAGES_OF, TAKES
from application.administration.console_client import CALLBACK_PATH, LOGGED_OUT_PATH
from tests.http.test_console import PAGES as TESTED


def test_every_page_is_refused_without_login() -> None:
    """Each path of the console is tried without a login."""
    begins = [path.partition("{")[0] for path in PAGES_OF]

    assert set(PAGES) <= set(TESTED)
    assert all(any(path.startswith(begin) for path in TESTED) for begin in begins)


def test_every_page_says_what_it_takes() -> None:
    """No page is shown without a list of its parameters, and none reads one that is on no list:
    what is not on it is refused, what is on it is recorded.
    """
    read: set[str] = set()
    for path in Path(console.__file__).parent.glob("*.py"):
        if path.name not in ("login.py", "cookies.py"):  # which show no data
            read |= set(re.findall(r'form\.(?:get|require|all)\(\s*"([^"]+)"', path.read_text()))
    read -= {"csrf"}

    assert {"q", "window", "version"} <= read
    assert read <= frozenset().union(*TAKES.values())
    assert set(TAKES) == {*PAGES, *PAGES_OF}


def test_every_page_goes_through_the_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each GET below /console but those of the login and its end is a page with such a list."""

    class Desk:
        def __init__(self, _: Any) -> None:
            self.frame = self.entrance = None

    monkeypatch.setattr(routes, "Desk", Desk)
    entrance = {LOGIN_PATH, CALLBACK_PATH, LOGGED_OUT_PATH, routes.LOGOUT_PATH}
    found = {path for one in routes.console_routes(SimpleNamespace()) for path in one.paths}  # type: ignore[arg-type]

    assert found - entrance == set(TAKES)
