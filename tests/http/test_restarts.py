"""Stopping, replacing and losing workers under load: nothing is half, and it comes back."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import httpx
import jwt
import psutil
import psycopg
import pytest

from tests.benchmarks.connection import Connection, Cut
from tests.cli.running_service import STOP_SECONDS, RunningService, running_service
from tests.http.live import TOKEN
from tests.postgres import Postgres
from tests.processes import living_children
from tests.waiting import eventually, eventually_async

CLIENTS = 16


@dataclass
class Told:
    """What the clients were told: tokens by their jti, other statuses, and how often cut off."""

    tokens: set[str] = field(default_factory=set)
    others: list[int] = field(default_factory=list)
    cuts: int = 0


@dataclass(frozen=True)
class Started:
    """A service with two workers, and its database."""

    service: RunningService
    url: str

    def under_load(self, act: Callable[[], Awaitable[None]]) -> Told:
        """Let clients ask for tokens while `act` happens, and return what they were told."""
        return asyncio.run(self._under_load(act))

    async def _under_load(self, act: Callable[[], Awaitable[None]]) -> Told:
        told, over = Told(), asyncio.Event()
        clients = [asyncio.create_task(self._ask(told, over)) for _ in range(CLIENTS)]
        await eventually_async(lambda: len(told.tokens) >= 10 * CLIENTS)
        await act()
        over.set()
        await asyncio.gather(*clients)
        return told

    async def _ask(self, told: Told, over: asyncio.Event) -> None:
        connection = Connection(self.service.url)
        form = {"grant_type": "client_credentials", **self.service.bootstrap["demo"]}
        while not over.is_set():
            try:
                status, answer = await connection.post(TOKEN, form)
            except Cut:
                told.cuts += 1
                await asyncio.sleep(0.05)
                continue
            if status == 200:
                claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
                told.tokens.add(claims["jti"])
            else:
                told.others.append(status)
        connection.close()

    def workers(self) -> list[psutil.Process]:
        """Return the API workers, the oldest first."""
        return living_children(self.service.process.pid, "spawn_main")

    def recorded(self) -> set[str]:
        """Return the jti of every token in the log."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT originator_id FROM grantledger.ledger_events WHERE topic = 'token.issued'"
            ).fetchall()
        return {str(jti) for (jti,) in rows}


@pytest.fixture(scope="module")
def started(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A service for all tests of this file; the last of them stops it."""
    with (
        postgres.database() as url,
        running_service(
            tmp_path_factory.mktemp("restarts"), "--workers", "2", DATABASE_URL=url
        ) as service,
    ):
        yield Started(service, url)


def test_workers_are_replaced_while_others_answer(started: Started) -> None:
    """SIGHUP: two new workers, no answer but tokens, and somebody always answers."""
    before = {one.pid for one in started.workers()}

    async def replace() -> None:
        started.service.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(
            eventually,
            lambda: len(started.workers()) == 2 and not before & _pids(started.workers()),
            seconds=40,
        )

    told = started.under_load(replace)

    assert told.others == []
    # A kept connection may end as a request comes: once for each client and worker, no more.
    assert told.cuts <= 2 * CLIENTS
    assert started.recorded() >= told.tokens


def test_a_worker_that_dies_twice_within_seconds(started: Started) -> None:
    """The service comes back by itself, whatever the server makes of it."""
    for _ in range(2):
        (*_, youngest) = started.workers()
        youngest.kill()
        eventually(lambda: len(started.workers()) == 2, seconds=20)
    eventually(lambda: "starting them anew" in started.service.log, seconds=20)
    eventually(lambda: len(started.workers()) == 2 and _answers(started), seconds=40)

    assert started.service.process.poll() is None


def test_what_was_asked_is_answered_before_the_end(started: Started) -> None:
    """SIGTERM under load: what was answered is in the log, and what is in the log was answered."""
    earlier = started.recorded()

    async def stop() -> None:
        started.service.process.terminate()
        code = await asyncio.to_thread(started.service.process.wait, STOP_SECONDS)
        assert code == 0

    told = started.under_load(stop)

    assert told.others == []
    assert told.tokens == started.recorded() - earlier


def _pids(processes: list[psutil.Process]) -> set[int]:
    return {one.pid for one in processes}


def _answers(started: Started) -> bool:
    try:
        return httpx.post(f"{started.service.url}{TOKEN}", timeout=5).status_code == 400
    except httpx.TransportError:
        return False
