"""A real browser on a real service; the client's own page is there too."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.cli.running_service import free_port, running_service
from tests.http.live import Live
from tests.postgres import Postgres

CHROMIUM = shutil.which("chromium")
REQUIRED = "GRANTLEDGER_REQUIRE_BROWSER"
SCREENSHOTS = "GRANTLEDGER_SCREENSHOTS"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# A module and no session: while it lives, its event loop runs in this thread, and no test after it
# could start one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, of the system; without one the tests skip, unless it is required."""
    if CHROMIUM is None:
        assert not os.environ.get(REQUIRED), "chromium is required and not installed"
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS])
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service under a name: passkeys belong to a domain, and an address is none."""
    data_dir: Path = tmp_path_factory.mktemp("site")
    port = free_port()
    issuer = f"http://localhost:{port}"
    with (
        postgres.database() as url,
        running_service(
            data_dir, DATABASE_URL=url, GRANTLEDGER_ISSUER=issuer, port=port
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


@dataclass
class Window:
    """One browser window with a clean profile, and what it complained about."""

    page: Page
    context: BrowserContext
    site: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a path of the service."""
        self.page.goto(f"{self.site}{path}")

    def picture(self, name: str) -> None:
        """Check that the page fits, and take its picture where a folder for it is named."""
        for width in (1280, 390):
            self.page.set_viewport_size({"width": width, "height": 900})
            wide = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not wide, f"{name} is wider than {width} pixels"
            if folder := os.environ.get(SCREENSHOTS):
                self.page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)


@contextmanager
def opened(
    browser: Browser, site: Live, *, script: bool = True, dark: bool = False
) -> Iterator[Window]:
    """Open a window; at its end nothing may have been complained about."""
    context = browser.new_context(
        java_script_enabled=script, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    window = Window(page, context, f"http://localhost:{site.service.port}")
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            window.complaints.append(message.text)
            if message.type in ("error", "warning")
            and "Failed to load resource" not in message.text
            else None
        ),
    )
    try:
        yield window
        assert window.complaints == []
    finally:
        context.close()


class _Callback(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self._answer(self.rfile.read(length).decode())

    def _answer(self, posted: str = "") -> None:
        body = f"<!doctype html><title>Client</title><p id=posted>{posted}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as inherited
        """Say nothing."""


@pytest.fixture(scope="session")
def callback() -> Iterator[str]:
    """The redirect URI of a client whose page is really there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Callback)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/callback"
    server.shutdown()
    thread.join()
    server.server_close()
