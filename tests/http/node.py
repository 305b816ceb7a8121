"""Scripts that run client libraries of JavaScript: started, spoken with a line at a time, ended."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from select import select
from typing import Any

import httpx
import pytest

from tests.http.person import Person

FOLDER = Path(__file__).parent.parent / "node"
REQUIRED = "GRANTLEDGER_REQUIRE_NODE"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
ANSWER_SECONDS, INSTALL_SECONDS = 30, 300


def require_libraries() -> None:
    """Install what package-lock.json lists; skip the tests where there is no Node, unless it is
    required.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        assert not os.environ.get(REQUIRED), "node and npm are required and not installed"
        pytest.skip("no node and npm on this machine")
    lock = FOLDER / "package-lock.json"
    with lock.open() as held:
        flock(held, LOCK_EX)  # another process of these tests may be at it
        _install(lock)


def _install(lock: Path) -> None:
    if INSTALLED.exists() and INSTALLED.stat().st_mtime >= lock.stat().st_mtime:
        return
    options = ("--ignore-scripts", "--no-audit", "--no-fund")
    done = subprocess.run(
        ["npm", "ci", *options],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, done.stderr


class Script:
    """A script that runs: it says one JSON value a line, and is answered likewise."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def say(self, value: object) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Return what it says next. Raises AssertionError with its complaint where it failed."""
        assert self._process.stdout is not None
        ready, _, _ = select([self._process.stdout], [], [], ANSWER_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        assert line, self._complaint()
        said: dict[str, Any] = json.loads(line)
        return said

    def _complaint(self) -> str:
        self._process.kill()
        assert self._process.stderr is not None
        return self._process.stderr.read().decode()


@contextmanager
def running(script: str, **given: Any) -> Iterator[Script]:
    """Start a script with what it is `given`, and end it afterwards."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["node", f"{script}.mjs"], cwd=FOLDER, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        started = Script(process)
        started.say(given)
        try:
            yield started
        finally:
            process.kill()


def visit(person: Person, url: str) -> str:
    """Let a person open an authorization URL, log in and consent; return where it is sent to."""
    page = person.open(httpx.URL(url).raw_path.decode())
    if page.status_code == 200 and 'action="/login"' in page.text:
        page = person.log_in(page)
    if page.status_code == 200 and 'action="/consent"' in page.text:
        page = person.allow(page)
    assert page.status_code == 303, page.text
    return page.headers["location"]
