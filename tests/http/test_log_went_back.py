"""A log that goes back under a running service: both workers notice, and say so everywhere."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest

from application.ledger.ledger import Ledger
from projections.registry import PROJECTIONS
from projections.status import ProjectionStatus, projection_status
from projections.verify import verify
from tests.builders import a_token
from tests.cli.running_service import run_command, running_service
from tests.conftest import PrivateDatabase
from tests.failover import Failover
from tests.http.live import FORM, TOKEN, Live
from tests.ledger.going_back import head_of, losses_of, take_back
from tests.postgres_copies import copied_files, put_back, standby_of
from tests.waiting import eventually

T = TypeVar("T")
WORKERS = 2
LOST = 20
"""Tokens that are recorded after what the copy has."""


class Address:
    """The failover in a thread of its own, since the tests wait for the service."""

    def __init__(self, database_url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._failover = Failover(database_url)

    def __enter__(self) -> "Address":
        self._thread.start()
        self._run(self._failover.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._failover.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """What the service is given."""
        return self._failover.url

    def partition(self) -> None:
        """Let nothing through."""
        self._call(self._failover.partition)

    def heal(self) -> None:
        """Reset what there is, and let through what comes."""
        self._call(self._failover.heal)

    def switch(self, database_url: str) -> None:
        """Lead to another server."""
        self._call(lambda: self._failover.switch(database_url))

    def _call(self, act: Callable[[], None]) -> None:
        async def work() -> None:
            act()

        self._run(work())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@dataclass(frozen=True)
class Stage:
    """A service of two workers behind an address, and its database."""

    live: Live
    address: Address
    database: PrivateDatabase

    def lose_tokens(self) -> list[str]:
        """Return tokens that were recorded and will be lost, and register a client that will be."""
        tokens = [self.live.token() for _ in range(LOST)]
        lost = self.live.register("lost")
        # Each worker has to have read of it: one that knows of nothing lost has nothing to notice.
        eventually(lambda: 401 not in _asked(self.live, lost), seconds=20)
        return tokens


@pytest.fixture
def stage(private_database: PrivateDatabase, tmp_path: Path) -> Iterator[Stage]:
    """A service of its own on a server of its own."""
    with (
        Address(private_database.url) as address,
        running_service(
            tmp_path / "data", "--workers", str(WORKERS), DATABASE_URL=address.url
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        eventually(lambda: _started(private_database.url) == WORKERS, seconds=20)
        yield Stage(Live(service, http, private_database.url), address, private_database)


def _started(database_url: str) -> int:
    """Return how many workers have started: a start without a database is another test's."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'grantledger keys'"
            " AND query LIKE '%wrapped_keys%' AND state = 'idle'"
        ).fetchone()
    return int(row[0]) if row else 0


def _disable_demo(stage: Stage, database_url: str) -> None:
    """Disable the demo client from elsewhere, and write past the old head of the log."""
    client_id, _ = stage.live.demo
    given = {"DATABASE_URL": database_url, "GRANTLEDGER_DATA_DIR": str(stage.live.service.data_dir)}
    done = run_command("client", "disable", client_id, "--reason", "test", **given)
    assert done.returncode == 0, done.stderr

    async def tokens() -> None:
        async with Ledger(database_url) as log:
            for _ in range(2 * LOST):
                await log.save(a_token(datetime.now(UTC)))

    asyncio.run(tokens())


def _asked(live: Live, client: tuple[str, str] | None = None) -> set[int]:
    """Return what a client is answered, the demo client where none is given, over connections of
    their own to both workers.
    """
    found = set()
    for _ in range(12):
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.post(
                f"{live.service.url}{TOKEN}", auth=client or live.demo, data=FORM, timeout=20
            )
            found.add(answer.status_code)
    return found


def _noticed(stage: Stage, lost: list[str], url: str, *, resumed_after: int, timeline: int) -> None:
    live = stage.live
    answers: set[int] = set()

    def all_refuse() -> bool:
        given = _asked(live)
        answers.update(given)
        return given == {401}

    eventually(all_refuse, seconds=30)

    assert 200 not in answers
    assert live.ask_token(live.administration).status_code == 200
    registered = live.http.get("/admin/clients/lost", headers=live.bearer())
    assert registered.status_code == 404
    assert losses_of(url) == [(resumed_after, timeline)]
    for token in lost:
        assert live.introspect(token, live.administration) == {"active": False}


def _shown(stage: Stage, url: str) -> None:
    live = stage.live

    def alarms() -> list[str]:
        # None while the connections to the read models come back.
        return [one["name"] for one in live.http.get("/readyz").json()["alarms"] or ()]

    counted = 'grantledger_alarms{alarm="log_went_back"} 1.0'
    eventually(lambda: alarms() == ["log_went_back"], seconds=20)
    eventually(lambda: counted in live.http.get("/metrics").text, seconds=20)
    ready = live.http.get("/readyz")
    given = {"DATABASE_URL": url, "GRANTLEDGER_DATA_DIR": str(live.service.data_dir)}
    doctor = run_command("doctor", "--json", **given)
    findings = {one["check"]: one for one in json.loads(doctor.stdout)}

    assert (ready.status_code, ready.json()["log"]) == (200, "followed")
    assert findings["log went back"]["level"] == "problem"
    assert "the log went back" in live.service.log


def _projected(url: str, *, build: int) -> None:
    """Wait until the read models follow the log; `build` 1 says that none was made anew."""

    def found() -> Sequence[ProjectionStatus]:
        with psycopg.connect(url) as connection:
            return projection_status().fetch(connection)

    eventually(lambda: all(one.position == one.head for one in found()), seconds=20)

    assert {one.build for one in found()} == {build}
    for projection in PROJECTIONS:
        assert verify(url, projection).clean


def test_a_restore_in_place(stage: Stage) -> None:
    """Files that are put back under a running service, and a client that is disabled afterwards:
    it gets no token, from neither worker, although the log has passed its old head; the loss is
    recorded once, shown, and the read models follow the log.
    """
    server, url = stage.database.server, stage.database.url
    with copied_files(server) as copy:
        eventually(lambda: stage.live.ask_token().status_code == 200, seconds=20)
        lost = stage.lose_tokens()
        stage.address.partition()
        put_back(server, copy)
        kept = head_of(url)
        _disable_demo(stage, url)
        stage.address.heal()
        _noticed(stage, lost, url, resumed_after=kept, timeline=1)

    _shown(stage, url)
    _projected(url, build=1)  # they went back together with the log


def test_a_standby_that_lagged(stage: Stage) -> None:
    """The same where a standby that lagged is promoted, while the old primary lives on."""
    server, url = stage.database.server, stage.database.url
    with standby_of(server, url) as standby:
        eventually(lambda: standby.has(head_of(url)))
        standby.cut_off()
        kept = head_of(standby.url)
        lost = stage.lose_tokens()
        standby.promote()
        _disable_demo(stage, standby.url)
        stage.address.switch(standby.url)
        _noticed(stage, lost, standby.url, resumed_after=kept, timeline=2)
        _shown(stage, standby.url)
        _projected(standby.url, build=1)
        stage.address.switch(url)


def test_rows_that_are_restored_under_open_connections(stage: Stage) -> None:
    """Nobody's connection breaks and the head is where it was before: it shows all the same."""
    url = stage.database.url
    kept = head_of(url)
    lost = stage.lose_tokens()
    take_back(url, to=kept)
    _disable_demo(stage, url)
    _noticed(stage, lost, url, resumed_after=kept, timeline=1)
    _shown(stage, url)
    _projected(url, build=2)  # they were ahead of the log


def test_a_request_of_before(stage: Stage) -> None:
    """A request whose body comes slowly began before the log went back, and is answered 503
    although the worker has read everything anew meanwhile; the next one is answered.
    """
    client_id, secret = stage.live.administration
    body = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}".encode()
    head = (
        f"POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
    )
    kept = head_of(stage.database.url)
    stage.lose_tokens()
    with socket.create_connection(("127.0.0.1", stage.live.service.port), timeout=20) as slow:
        slow.sendall(head.encode() + body[:-1])
        eventually(lambda: stage.live.ask_token().status_code == 200)  # it has begun by now
        take_back(stage.database.url, to=kept)
        eventually(lambda: _read_anew(stage) == WORKERS, seconds=20)
        slow.sendall(body[-1:])
        answer = slow.makefile("rb").readline()

    assert b" 503 " in answer
    assert stage.live.ask_token(stage.live.administration).status_code == 200


def _read_anew(stage: Stage) -> int:
    return stage.live.service.log.count("the log is followed again")
