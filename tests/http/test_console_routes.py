"""No page of the console is left out of the table of refusals."""

from api.console.routes import PAGES, PAGES_OF
from tests.http.test_console import PAGES as TESTED


def test_every_page_is_refused_without_login() -> None:
    """Each path of the console is tried without a login."""
    begins = [path.partition("{")[0] for path in PAGES_OF]

    assert set(PAGES) <= set(TESTED)
    assert all(any(path.startswith(begin) for path in TESTED) for begin in begins)
