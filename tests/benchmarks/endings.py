"""Ends against storms of their holders: whether each is recorded, how soon, and from when it binds.

`python -m tests.benchmarks.endings` runs all kinds of ends, or those that are named. In each round
connections repeat the predecessor of a refresh token, or refresh in a loop, as fast as they can;
where the end is of a client, a person or an initial access token, another process writes on that
stream in a loop as well. In the midst of it the end is asked for. Counted are its answer, its time,
uses that were sent after its acknowledgement (after one second for ends in the directory) and
succeeded all the same, and tokens that introspection calls active then.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import httpx

from application.ledger.errors import Conflict
from application.ledger.ledger import Ledger
from domain.client import Client
from domain.errors import GrantNotUsable
from domain.initial_access import InitialAccess
from domain.principal import Principal
from domain.provenance import Provenance
from domain.recorded import Recorded
from tests.benchmarks.connection import Connection, Cut
from tests.cli.running_service import running_service
from tests.http.live import INTROSPECT, REVOKE, TOKEN, Live
from tests.http.person import Person, WebClient, a_person, a_web_client, hidden_fields
from tests.postgres import running_postgres

CONNECTIONS = 32
WRITERS = 4
ROUNDS = 200
STORM_SECONDS = 0.15
"""How long a storm blows before the end, and after what it ended must be dead."""
DIRECTORY_SECONDS = 1.0
P99_SECONDS, MOST_SECONDS = 1.0, 5.0
SETTINGS: dict[str, Any] = {
    "GRANTLEDGER_REGISTRATION": "initial_access_token",
    "GRANTLEDGER_RATE_LIMIT_AUTHORIZE_PER_ADDRESS": "",
    "GRANTLEDGER_RATE_LIMIT_FAILED_AUTHENTICATION_PER_ADDRESS": "",
    "GRANTLEDGER_RATE_LIMIT_REGISTRATION_PER_ADDRESS": "",
}
_numbers = count(1)


@dataclass
class Target:
    """What a round ends, and the first tokens of the grant that the storm uses."""

    live: Live
    person: Person
    client: WebClient
    code: str
    tokens: dict[str, Any]
    database_url: str


@dataclass
class Storm:
    """Connections that use one grant; `uses` are moments and outcomes of what they sent."""

    target: Target
    rotates: bool
    uses: list[tuple[float, int]] = field(default_factory=list)
    newest: str = ""
    access_token: str = ""

    def form(self) -> dict[str, str]:
        """Return the next use: of the newest refresh token, or of its predecessor."""
        token = self.newest if self.rotates else self.target.tokens["refresh_token"]
        return _as_client(self.target, grant_type="refresh_token", refresh_token=token)

    async def blow(self, until: asyncio.Event) -> None:
        """Use the grant over one connection until told to stop."""
        connection = Connection(self.target.live.service.url)
        while not until.is_set():
            sent_at = monotonic()
            try:
                status, answer = await connection.post(TOKEN, self.form())
            except Cut:
                continue
            self.uses.append((sent_at, status))
            if status == 200:
                self.newest, self.access_token = answer["refresh_token"], answer["access_token"]
        connection.close()


def _as_client(target: Target, **form: str) -> dict[str, str]:
    return {
        "client_id": target.client.client_id,
        "client_secret": target.client.secret,
        **form,
    }


Act = Callable[[], Awaitable[int]]
"""Asks for the end and returns the status of the answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of end: `prepare` makes ready what must not count; `stream`, which another process
    writes on meanwhile, and how.
    """

    prepare: Callable[[Target], Awaitable[Act]]
    in_directory: bool = False
    stream: Callable[[Target], tuple[UUID, Callable[[Any], None]]] | None = None
    accepts: tuple[int, ...] = (200, 201, 204, 303)


def _now() -> Provenance:
    return Provenance(datetime.now(UTC), "req_storm", by="storm", why="storm")


async def _post_form(target: Target, path: str, **form: str) -> int:
    async with httpx.AsyncClient(base_url=target.live.service.url, timeout=20) as http:
        return (await http.post(path, data=_as_client(target, **form))).status_code


async def _administer(target: Target, method: str, path: str, **options: Any) -> Act:
    headers = await asyncio.to_thread(target.live.bearer)

    async def act() -> int:
        async with httpx.AsyncClient(base_url=target.live.service.url, timeout=20) as http:
            return (await http.request(method, path, headers=headers, **options)).status_code

    return act


async def _revocation(target: Target) -> Act:
    token = target.tokens["refresh_token"]
    return lambda: _post_form(target, REVOKE, token=token)


async def _replay(target: Target) -> Act:
    client = target.client
    form = {"code": target.code, "code_verifier": client.verifier}
    return lambda: _post_form(target, TOKEN, grant_type="authorization_code", **form)


async def _reuse(target: Target) -> Act:
    retired = target.tokens["retired"]
    return lambda: _post_form(target, TOKEN, grant_type="refresh_token", refresh_token=retired)


async def _session(target: Target) -> Act:
    return await _administer(target, "POST", f"/admin/sessions/{await _sid(target)}/end")


async def _logout(target: Target) -> Act:
    return await _pressing(target, "/account/logout")


async def _withdrawal(target: Target) -> Act:
    path = "/account/consents/withdraw"
    return await _pressing(target, path, client_id=target.client.client_id)


async def _pressing(target: Target, path: str, **fields: str) -> Act:
    page = await asyncio.to_thread(target.person.open, "/account")
    form = {**hidden_fields(page), **fields}

    async def act() -> int:
        pressed = await asyncio.to_thread(target.person.send, "POST", path, data=form)
        return pressed.status_code

    return act


async def _disabling(target: Target) -> Act:
    path = f"/admin/clients/{target.client.client_id}"
    return await _administer(target, "PATCH", path, json={"enabled": False})


async def _deactivation(target: Target) -> Act:
    return await _administer(target, "POST", f"/admin/principals/{target.person.login}/deactivate")


async def _initial_access(target: Target) -> Act:
    issued = await _administer_now(target, "POST", "/admin/registration-tokens", {"max_uses": 9999})
    target.tokens["access_id"] = issued["access_id"]
    path = f"/admin/registration-tokens/{issued['access_id']}/revoke"
    return await _administer(target, "POST", path)


async def _administer_now(target: Target, method: str, path: str, body: Any) -> dict[str, Any]:
    headers = await asyncio.to_thread(target.live.bearer)
    async with httpx.AsyncClient(base_url=target.live.service.url, timeout=20) as http:
        answered = await http.request(method, path, headers=headers, json=body)
    assert answered.status_code in (200, 201), answered.text
    answer: dict[str, Any] = answered.json()
    return answer


async def _sid(target: Target) -> str:
    form = _as_client(target, token=target.tokens["access_token"])
    async with httpx.AsyncClient(base_url=target.live.service.url, timeout=20) as http:
        return str((await http.post(INTROSPECT, data=form)).json()["sid"])


def _of_client(target: Target) -> tuple[UUID, Callable[[Client], None]]:
    names = count(1)
    stream = Client.stream(target.client.client_id)
    return stream, lambda client: client.rename(f"Shop {next(names)}", provenance=_now())


def _of_person(target: Target) -> tuple[UUID, Callable[[Principal], None]]:
    return Principal.stream(target.person.login), lambda person: person.password_set(_now())


def _of_initial_access(target: Target) -> tuple[UUID, Callable[[InitialAccess], None]]:
    names = count(1)
    stream = InitialAccess.stream(target.tokens["access_id"])
    return stream, lambda access: access.use(f"client-{next(names)}", _now())


KINDS = {
    "revocation": Kind(_revocation),
    "replay": Kind(_replay, accepts=(400,)),
    "reuse": Kind(_reuse, accepts=(400,)),
    "session": Kind(_session),
    "logout": Kind(_logout),
    "consent": Kind(_withdrawal),
    "client": Kind(_disabling, in_directory=True, stream=_of_client),
    "principal": Kind(_deactivation, in_directory=True, stream=_of_person),
    "initial-access": Kind(_initial_access, in_directory=True, stream=_of_initial_access),
}
STREAM_ALONE = {"initial-access"}
"""Ends that end nothing of the grant that the storm uses."""


@dataclass
class Counted:
    """What came of the rounds of one kind."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    uses: int = 0
    late_uses: int = 0
    active: int = 0

    @property
    def p99(self) -> float:
        """The 99th percentile of the time to the acknowledgement, in seconds."""
        if len(self.seconds) < 2:
            return max(self.seconds, default=0.0)
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[98]

    def holds(self) -> bool:
        """Tell whether the bar was met."""
        dead = self.late_uses == 0 and self.active == 0
        soon = self.p99 < P99_SECONDS and max(self.seconds, default=0.0) < MOST_SECONDS
        return self.refused == 0 and dead and soon

    def line(self) -> str:
        """Return what was counted, for a person."""
        return (
            f"{len(self.seconds)} rounds, {self.uses:,} uses, answers {dict(self.answers)},"
            f" refused {self.refused}, median {statistics.median(self.seconds) * 1e3:.0f} ms,"
            f" p99 {self.p99 * 1e3:.0f} ms, longest {max(self.seconds) * 1e3:.0f} ms,"
            f" uses after it {self.late_uses}, active after it {self.active}"
        )


class Scene:
    """A service, and grants of people to be ended."""

    def __init__(self, live: Live, *, connections: int = CONNECTIONS) -> None:
        self.live = live
        self.connections = connections
        self._client: WebClient | None = None
        self._person: Person | None = None

    async def rounds(self, name: str, rounds: int) -> Counted:
        """Play `rounds` of one kind of end."""
        counted = Counted()
        for number in range(rounds):
            await self._round(name, counted, rotates=bool(number % 2))
            if (number + 1) % max(1, rounds // 5) == 0:
                print(f"{name}: {number + 1} of {rounds}", file=sys.stderr, flush=True)
        return counted

    async def _round(self, name: str, counted: Counted, *, rotates: bool) -> None:
        kind = KINDS[name]
        target = await asyncio.to_thread(self._target, fresh=kind.in_directory)
        act = await kind.prepare(target)
        storm = Storm(target, rotates, newest=target.tokens["refresh_token"])
        async with self._blowing(storm, kind):
            began = monotonic()
            status = await act()
            ended = monotonic()
            counted.seconds.append(ended - began)
            counted.answers[status] += 1
            counted.refused += status not in kind.accepts
            allowance = DIRECTORY_SECONDS if kind.in_directory else 0.0
            await asyncio.sleep(allowance)
            if name not in STREAM_ALONE:
                counted.active += await self._active(target, storm)
            await asyncio.sleep(STORM_SECONDS)
        counted.uses += len(storm.uses)
        if name not in STREAM_ALONE:
            counted.late_uses += sum(
                sent_at > ended + allowance and status == 200 for sent_at, status in storm.uses
            )

    @asynccontextmanager
    async def _blowing(self, storm: Storm, kind: Kind) -> AsyncIterator[None]:
        until = asyncio.Event()
        async with Ledger(storm.target.database_url) as ledger, asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(storm.blow(until))
            if kind.stream is not None:
                stream, change = kind.stream(storm.target)
                for _ in range(WRITERS):
                    group.create_task(_write(ledger, stream, change, until))
            await asyncio.sleep(STORM_SECONDS)
            try:
                yield
            finally:
                until.set()

    async def _active(self, target: Target, storm: Storm) -> int:
        tokens = [target.tokens["access_token"], storm.access_token, storm.newest]
        active = 0
        async with httpx.AsyncClient(base_url=target.live.service.url, timeout=20) as http:
            for token in filter(None, tokens):
                answer = await http.post(INTROSPECT, data=_as_client(target, token=token))
                active += answer.status_code == 200 and answer.json()["active"]
        return active

    def _target(self, *, fresh: bool) -> Target:
        if fresh or self._client is None or self._person is None:
            number = next(_numbers)
            self._client = a_web_client(self.live, f"shop-{number}", refresh={"grace": 60})
            self._person = a_person(self.live, f"person-{number}")
        client, person = self._client, self._person
        code = client.code_from(person)
        retired = client.redeem(code).json()["refresh_token"]
        # Two generations on the first is past its grace: it is reuse, and the second a predecessor.
        tokens = client.refresh(retired).json()
        client.refresh(tokens["refresh_token"])
        tokens["retired"] = retired
        return Target(self.live, person, client, code, tokens, self.live.database_url)


async def _write(
    ledger: Ledger, stream: UUID, change: Callable[[Any], None], until: asyncio.Event
) -> None:
    """Change what is on a stream in a loop, as its holder does in another process."""
    while not until.is_set():
        found: Recorded = await ledger.load(stream)
        # Nothing can be changed of what ended.
        with suppress(Conflict, GrantNotUsable):
            change(found)
            await ledger.save(found)


@asynccontextmanager
async def a_scene(folder: Path, *, workers: int, connections: int) -> AsyncIterator[Scene]:
    """Run a service of `workers` processes on a PostgreSQL server of its own."""
    with (
        running_postgres() as postgres,
        postgres.database() as url,
        running_service(
            folder / "data", "--workers", str(workers), DATABASE_URL=url, **SETTINGS
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Scene(Live(service, http, url), connections=connections)


async def _play(options: argparse.Namespace) -> bool:
    held = True
    with tempfile.TemporaryDirectory(prefix="grantledger-endings-") as folder:
        async with a_scene(
            Path(folder), workers=options.workers, connections=options.connections
        ) as scene:
            for name in options.kinds or KINDS:
                counted = await scene.rounds(name, options.rounds)
                verdict = "held" if counted.holds() else "NOT HELD"
                print(f"{name}: {counted.line()}: {verdict}", flush=True)
                held = held and counted.holds()
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the kinds that were asked for; return 1 where the bar was not met."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.endings")
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="all if left out")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    return 0 if asyncio.run(_play(parser.parse_args(arguments))) else 1


if __name__ == "__main__":
    sys.exit(main())
