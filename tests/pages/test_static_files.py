"""The files that pages load, over HTTP: these and no others."""

import re
from pathlib import Path

import pytest
from litestar import Litestar, Response, get
from litestar.testing import TestClient

from api.pages.rendering import Pages, static_routes
from tests.pages.sample_contexts import NAMES, context_of

STATIC = Path(__file__).parents[2] / "api" / "pages" / "static"


@get("/page", sync_to_thread=False)
def _shown() -> Response[str]:
    return Pages().render("logged_out.html")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("passkey.js", "text/javascript; charset=utf-8"),
        ("submit.js", "text/javascript; charset=utf-8"),
        ("mark.svg", "image/svg+xml"),
    ],
)
def test_static_files(name: str, media_type: str) -> None:
    """Each static file has its type, is kept an hour, and is not sent again while unchanged."""
    with TestClient(Litestar(static_routes())) as client:
        first = client.get(f"/static/{name}")
        again = client.get(f"/static/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert (first.status_code, first.headers["content-type"]) == (200, media_type)
    assert first.headers["cache-control"] == "public, max-age=3600"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.content == (STATIC / name).read_bytes()
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/../rendering.py",
        "/static/%2e%2e/rendering.py",
        "/static/..%2frendering.py",
        "/static/style.css/..",
        "/static//style.css%00",
        "/static/page.html",
    ],
)
def test_no_other_file_can_be_read(path: str) -> None:
    """Static files are known by name; no path leads to anything else."""
    with TestClient(Litestar(static_routes())) as client:
        assert client.get(path).status_code == 404


def test_pages_refer_to_what_exists() -> None:
    """Whatever a page loads is served by the service itself."""
    served = {path for route in static_routes() for path in route.paths}
    wanted = {
        str(found)
        for name in NAMES
        for found in re.findall(
            r'(?:src|<link[^>]* href)="([^"]+)"',
            Pages().render(name, **context_of(name, "text")).content,
        )
    }

    with TestClient(Litestar([*static_routes(), _shown])) as client:
        shown = client.get("/page")

    assert wanted <= served
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
