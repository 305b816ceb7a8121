"""The service under measurement: started for real, with its processes' CPU time told apart."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil

from tests.benchmarks.load import Target

START_SECONDS = 90.0
_STOP_SECONDS = 30


class Reachable(Protocol):
    """A service that can be asked, wherever it came from."""

    @property
    def url(self) -> str:
        """Where it listens: http and on the loopback interface."""

    def credentials(self, name: str) -> dict[str, str]:
        """Return the bootstrap client `name`: "demo" or "administration"."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service on a port of its own, and the processes it consists of."""

    url: str
    parent: psutil.Process
    data_dir: Path

    def credentials(self, name: str) -> dict[str, str]:
        """Return the bootstrap client `name`: "demo" or "administration"."""
        content = json.loads((self.data_dir / "bootstrap.json").read_text())
        client: dict[str, str] = content[name]
        return client

    def cpu_seconds(self) -> Mapping[str, float]:
        """Return the CPU seconds used so far: by the API workers, PostgreSQL, the projections."""
        used = {"api": 0.0, "postgres": 0.0, "projections": 0.0}
        for process in [*self.parent.children(recursive=True), *self._postgres()]:
            with suppress(psutil.NoSuchProcess):  # it ended while we looked
                times = process.cpu_times()
                used[_kind(process)] += times.user + times.system
        return used

    def worker(self) -> psutil.Process:
        """Return the API worker that worked most."""
        workers = [one for one in self.parent.children(recursive=True) if _kind(one) == "api"]
        return max(workers, key=lambda one: one.cpu_times().user)

    def resident_bytes(self) -> int:
        """Return the largest resident memory of an API worker."""
        sizes = [
            process.memory_info().rss
            for process in self.parent.children(recursive=True)
            if _kind(process) == "api"
        ]
        return max(sizes, default=0)

    def readiness(self) -> dict[str, Any]:
        """Return what /readyz says."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/readyz").json()
        return answer

    @property
    def socket_dir(self) -> str:
        """The directory of the embedded server's Unix socket."""
        return (self.data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[4]

    def _postgres(self) -> list[psutil.Process]:
        pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        postmaster = psutil.Process(pid)
        return [postmaster, *postmaster.children(recursive=True)]


def token_request(service: RunningService, path: str = "/oauth/token") -> Target:
    """Return the demo client's request for a token."""
    client = service.credentials("demo")
    authorization = basic(client["client_id"], client["client_secret"])
    return Target(f"{service.url}{path}", authorization, "grant_type=client_credentials")


def basic(client_id: str, secret: str) -> str:
    """Return the Authorization header of a client."""
    return f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"


def _kind(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if "postgres" in process.name():
        return "postgres"
    return "projections" if "projector" in command else "api"


@contextmanager
def running_service(
    data_dir: Path, *, workers: int, algorithm: str = "ES256", database_url: str | None = None
) -> Iterator[RunningService]:
    """Start the service with the sign-only route on a free port; stop it at the end.

    It brings a PostgreSQL of its own unless `database_url` is given.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.benchmarks.serve"]
    log = (data_dir / "service.log").open("wb")
    process = subprocess.Popen(
        [*command, str(data_dir), str(port), str(workers), algorithm],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **({"DATABASE_URL": database_url} if database_url else {})},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, data_dir / "service.log")
        yield RunningService(url, psutil.Process(process.pid), data_dir)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start:\n{log.read_text()}")
