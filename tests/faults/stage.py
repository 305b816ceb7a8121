"""What the faults happen to: a PostgreSQL server, the network before it, a service, its clients."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx
import psutil

from tests.cli.running_service import clean_environment, free_port
from tests.faults.crowd import Crowd
from tests.faults.follower import Follower
from tests.faults.network import Network
from tests.faults.serve import CLOCK, SECONDS
from tests.postgres import Postgres
from tests.processes import living_children
from tests.waiting import eventually

START_SECONDS = 60
_STOP_SECONDS = 30
_COMMAND = (sys.executable, "-m", "tests.faults.serve")


class Service:
    """A service of two workers that can be killed and started again on its port."""

    def __init__(self, data_dir: Path, database_url: str, *, workers: int = 2) -> None:
        self.data_dir = data_dir
        self._database_url = database_url
        self._workers = workers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.move_clock(0)

    def start(self) -> None:
        """Start it and return once it is ready; blocks. Raises AssertionError with its log."""
        log = self.data_dir / "service.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_COMMAND, str(self.data_dir), str(self.port), str(self._workers)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(
                    DATABASE_URL=self._database_url, PYTHONPATH=os.pathsep.join(sys.path)
                ),
                start_new_session=True,
            )
        eventually(lambda: self._ready() or self._ended(), seconds=START_SECONDS)
        assert not self._ended(), log.read_text()

    def stop(self) -> None:
        """Stop it in order, where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End all its processes at once by SIGKILL, as a machine does that loses its power."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.kill()
        self.process.wait(_STOP_SECONDS)

    def replace_workers(self) -> None:
        """Have it replace its workers one by one."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def workers(self) -> list[psutil.Process]:
        """Return the living API workers, the oldest first."""
        return self._children("spawn_main")

    def projectors(self) -> list[psutil.Process]:
        """Return the process that builds the read models, nothing while there is none."""
        return self._children("api.projector")

    def credentials(self, name: str) -> dict[str, str]:
        """Return the bootstrap client `name`: "demo" or "administration"."""
        content = json.loads((self.data_dir / "bootstrap.json").read_text())
        client: dict[str, str] = content[name]
        return client

    def move_clock(self, seconds: float) -> None:
        """Let its clock be so many seconds off."""
        path = self.data_dir / CLOCK
        path.touch()
        with path.open("r+b") as file:
            file.write(SECONDS.pack(seconds))

    def _children(self, marker: str) -> list[psutil.Process]:
        assert self.process is not None
        return living_children(self.process.pid, marker)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


@dataclass
class Stage:
    """Everything that a fault may touch. `over` is set by it when the fault ends."""

    folder: Path
    postgres: Postgres
    url: str
    network: Network
    service: Service
    crowd: Crowd
    follower: Follower
    seconds: float
    over: float = 0.0

    def ends(self) -> None:
        """Say that the fault is over: from now on everybody has to be served soon."""
        self.over = monotonic()


@asynccontextmanager
async def a_stage(folder: Path, postgres: Postgres, *, seconds: float) -> AsyncIterator[Stage]:
    """Yield a stage whose service runs and whose clients are known to it, but do not ask yet.

    `seconds` is how long a fault lasts that has no end of its own.
    """
    async with AsyncExitStack() as stack:
        url = stack.enter_context(postgres.database())
        network = await stack.enter_async_context(Network(url))
        service = Service(folder, network.url)
        stack.callback(service.stop)
        await asyncio.to_thread(service.start)
        crowd = Crowd(service)
        await asyncio.to_thread(crowd.prepare)
        stack.callback(crowd.people.browser.close)
        follower = await stack.enter_async_context(Follower(url))
        yield Stage(folder, postgres, url, network, service, crowd, follower, seconds)
        # While the event loop runs on: the service stops by its connections through the network.
        await asyncio.to_thread(service.stop)


@asynccontextmanager
async def beside(stage: Stage) -> AsyncIterator[Service]:
    """Run another replica of the service, with a way of its own to PostgreSQL."""
    folder = stage.folder / "beside"
    folder.mkdir()
    for name in ("secrets.json", "bootstrap.json"):
        shutil.copy(stage.folder / name, folder / name)
    other = Service(folder, stage.url, workers=1)
    try:
        await asyncio.to_thread(other.start)
        yield other
    finally:
        await asyncio.to_thread(other.stop)
        shutil.rmtree(folder)
