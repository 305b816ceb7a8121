"""No page of the console is left out of the table of refusals, no parameter out of the record."""

import re
from pathlib import Path

from api import console
from api.console.desk import RECORDED
from api.console.routes import PAGES, PAGES_OF
from tests.http.test_console import PAGES as TESTED


def test_every_page_is_refused_without_login() -> None:
    """Each path of the console is tried without a login."""
    begins = [path.partition("{")[0] for path in PAGES_OF]

    assert set(PAGES) <= set(TESTED)
    assert all(any(path.startswith(begin) for path in TESTED) for begin in begins)


def test_every_parameter_that_a_page_reads_is_recorded() -> None:
    """What a page of the console can be asked with is in the record of the reading."""
    read: set[str] = set()
    for path in Path(console.__file__).parent.glob("*.py"):
        if path.name not in ("login.py", "cookies.py"):  # which show no data
            read |= set(re.findall(r'form\.(?:get|require|all)\(\s*"([^"]+)"', path.read_text()))
    read -= {"csrf"}

    assert {"q", "window", "version"} <= read
    assert read <= set(RECORDED)
