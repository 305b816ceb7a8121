"""Steady load for a long time: does anything grow that should not?

`python -m tests.benchmarks.soak --minutes 30`. Machines, people, agents and resource servers ask at
a steady pace; each minute tells the rate, the slowest answer, memory and open files of the worker,
memory of the process that builds the read models, and how far that is behind. Memory is compared
between the end of the warm-up (a quarter of the time) and the end of the run.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psutil

from tests.benchmarks.connection import Connection
from tests.benchmarks.delegations import Delegations, exchanging
from tests.benchmarks.families import TOKEN, Scene, refreshing
from tests.benchmarks.service import RunningService, running_service

CLIENTS = 16
TOKEN_SECONDS = 60
"""How long people's tokens live: a family remembers each that does, and these rotate a thousand
times as often as any client would.
"""
_GROWN = 0.05
_WARM = 0.25
_MEBIBYTE = 1024 * 1024


@dataclass
class Told:
    """What the clients were told since the last look; latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one minute; sizes in bytes."""

    worker: int
    files: int
    projector: int


class Asking:
    """One client that does everything in turn: a token, its exchange, a look at it, a rotation."""

    def __init__(self, service: RunningService, agent: tuple[str, str], family: str) -> None:
        self._connection = Connection(service.url)
        self._demo = service.credentials("demo")
        self._agent = {"client_id": agent[0], "client_secret": agent[1]}
        self._family = family

    async def once(self, told: Told) -> None:
        """Make four requests."""
        form = {"grant_type": "client_credentials", **self._demo}
        token = (await self._ask(TOKEN, form, told))["access_token"]
        await self._ask(TOKEN, {**self._agent, **exchanging(token)}, told)
        await self._ask("/oauth/introspect", {**self._demo, "token": token}, told)
        answer = await self._ask(TOKEN, refreshing(self._family), told)
        self._family = answer["refresh_token"]

    async def _ask(self, path: str, form: dict[str, str], told: Told) -> dict[str, str]:
        began = monotonic()
        status, answer = await self._connection.post(path, form)
        told.latencies.append(monotonic() - began)
        told.failures += status != 200
        return answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; 1 where memory grew or a request failed."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="grantledger-soak-") as folder:
        Path(folder).chmod(0o755)
        with running_service(Path(folder), workers=1) as service:
            looks, failures = asyncio.run(_soak(service, options.minutes, options.rate))
    warm, last = looks[int(len(looks) * _WARM)], looks[-1]
    grown = {
        "worker": last.worker / warm.worker - 1,
        "projector": last.projector / warm.projector - 1,
        "open files": last.files / warm.files - 1,
    }
    told = ", ".join(f"{name} {share:+.1%}" for name, share in grown.items())
    print(f"after the warm-up: {told}; {failures} failures")
    return 1 if failures or max(grown.values()) > _GROWN else 0


async def _soak(service: RunningService, minutes: float, rate: float) -> tuple[list[Look], int]:
    scene = Scene(service, token_seconds=TOKEN_SECONDS)
    await asyncio.to_thread(scene.prepare)
    agent = (await asyncio.to_thread(Delegations, service)).auth
    families = [await asyncio.to_thread(scene.refresh_token) for _ in range(CLIENTS)]
    told, looks, failures = Told(), list[Look](), 0
    until = monotonic() + 60 * minutes

    async def client(family: str) -> None:
        asking, due = Asking(service, agent, family), monotonic()
        while monotonic() < until:
            await asking.once(told)
            due += 4 * CLIENTS / rate
            await asyncio.sleep(max(0.0, due - monotonic()))

    clients = [asyncio.create_task(client(family)) for family in families]
    for minute in range(1, round(minutes) + 1):
        await asyncio.sleep(max(0.0, until - 60 * (minutes - minute) - monotonic()))
        latencies, told.latencies = sorted(told.latencies), []
        failures += told.failures
        told.failures = 0
        looks.append(_look(service))
        _print(minute, latencies, looks[-1], await asyncio.to_thread(service.readiness))
    await asyncio.gather(*clients)
    return looks, failures + told.failures


def _look(service: RunningService) -> Look:
    worker = service.worker()
    projector = next(one for one in psutil.Process(service.parent.pid).children() if _projects(one))
    return Look(worker.memory_info().rss, worker.num_fds(), projector.memory_info().rss)


def _projects(process: psutil.Process) -> bool:
    return "api.projector" in process.cmdline()


def _print(
    minute: int,
    latencies: Sequence[float],
    look: Look,
    readiness: dict[str, dict[str, dict[str, float]]],
) -> None:
    behind = max(one["lag_seconds"] for one in readiness["projections"].values())
    count = len(latencies)
    print(
        f"minute {minute}: {count / 60:,.0f} a second, p50 {1000 * latencies[count // 2]:.1f} ms,"
        f" p99 {1000 * latencies[count * 99 // 100]:.1f} ms, slowest {1000 * latencies[-1]:.0f} ms;"
        f" worker {look.worker / _MEBIBYTE:.1f} MiB and {look.files} files, projector"
        f" {look.projector / _MEBIBYTE:.1f} MiB and {behind:.2f} s behind",
        flush=True,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.soak",
        description="steady load for a long time: does anything grow that should not?",
        epilog="example: python -m tests.benchmarks.soak --minutes 5 --rate 400",
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=800, help="requests a second, of all kinds")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
