"""Clients that do as they should: they keep what they get, wait where they are told to, ask again
where an answer got lost, and take nothing for granted.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from time import monotonic

from tests.benchmarks.connection import Connection, Cut, Response
from tests.benchmarks.delegations import Delegations, exchanging
from tests.benchmarks.families import TOKEN, Scene, refreshing
from tests.benchmarks.service import Reachable
from tests.faults.books import Books, Held

INTROSPECT, REVOKE = "/oauth/introspect", "/oauth/revoke"
CLIENT = "bench-web"
MACHINES, PEOPLE, AGENTS, ASKING, REVOKING = 5, 6, 2, 3, 1
GRACE_SECONDS = 60
"""How long a retry of a rotation is taken for one: longer than any fault lasts."""
PEOPLES_TOKEN_SECONDS = 8
"""Of a family that rotates fifty times a second; a thousand of its tokens may be alive at once."""
SERVED_SECONDS = 20.0
"""How long a client may go without an answer once the fault is over."""
_PACE_SECONDS = 0.01
_AGAIN_SECONDS = 0.05


class Crowd:
    """All clients of one service; `async with` lets them work, with fresh books each time."""

    def __init__(self, service: Reachable, *, seed: int = 7) -> None:
        self._service = service
        self._dice = random.Random(seed)
        self._begin()
        self._families: list[str] = []
        self._agent = ("", "")
        self.people = Scene(service, grace=GRACE_SECONDS, token_seconds=PEOPLES_TOKEN_SECONDS)

    def prepare(self) -> None:
        """Register who takes part, and begin their families; blocks."""
        self.people.prepare()
        self._agent = Delegations(self._service).auth
        self._families = [self.people.refresh_token(CLIENT) for _ in range(PEOPLE)]

    def _begin(self) -> None:
        self.books = Books()
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Crowd":
        self._begin()
        kinds: list[tuple[str, int, Callable[[str], Coroutine[None, None, None]]]] = [
            ("machine", MACHINES, self._machine),
            ("person", PEOPLE, self._person),
            ("agent", AGENTS, self._agent_client),
            ("asking", ASKING, self._asking),
            ("revoking", REVOKING, self._revoking),
        ]
        for kind, count, work in kinds:
            for number in range(count):
                name = f"{kind} {number}"
                self._tasks.append(asyncio.create_task(work(name), name=name))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return len(self._tasks)

    async def all_served_since(self, moment: float) -> float:
        """Return once every client was served after `moment` (time.monotonic), and how many
        seconds later that was. Raises AssertionError after SERVED_SECONDS.
        """
        while True:
            served = [at for at in self.books.succeeded.values() if at > moment]
            if len(served) == self.clients:
                return max(served) - moment
            if self.books.wrong:
                raise AssertionError(self.books.wrong[0])
            waited = monotonic() - moment
            assert waited < SERVED_SECONDS, f"{len(served)} of {self.clients} clients are served"
            await asyncio.sleep(_PACE_SECONDS)

    async def _pace(self) -> None:
        await asyncio.sleep(_PACE_SECONDS)

    async def ask(
        self, name: str, connection: Connection, path: str, form: dict[str, str]
    ) -> Response | None:
        """Ask until there is an answer that is not 503; None where the crowd goes home before.

        Lost answers are asked for again, which these requests are made to bear.
        """
        while not self._over.is_set():
            try:
                response = await connection.ask(path, form)
            except Cut:
                self.books.cut()
                await asyncio.sleep(_AGAIN_SECONDS * (1 + self._dice.random()))
                continue
            self.books.count(name, response)
            if response.status != 503:
                return response
            await asyncio.sleep(_AGAIN_SECONDS * (1 + self._dice.random()))
        return None

    async def _machine(self, name: str) -> None:
        connection = Connection(self._service.url)
        form = {"grant_type": "client_credentials", **self._service.credentials("demo")}
        while not self._over.is_set():
            held = await self._get(name, connection, form)
            if held is not None:
                self.books.recent.append(held[0])
            await self._pace()
        connection.close()

    async def _get(
        self, name: str, connection: Connection, form: dict[str, str]
    ) -> tuple[Held, Response] | None:
        """Return a token that was asked for, and the whole answer; complain about a refusal."""
        era = self.books.era
        response = await self.ask(name, connection, TOKEN, form)
        if response is None:
            return None
        if response.status != 200:
            self.books.complain(f"{name}: {response.status} {response.body}")
            return None
        return self.books.hold(response.body["access_token"], era), response

    async def _person(self, name: str) -> None:
        connection = Connection(self._service.url)
        number = int(name.split()[1])
        # One that is logged out is served no more: nothing that a good client does leads to that.
        while got := await self._get(name, connection, refreshing(self._families[number], CLIENT)):
            self._families[number] = got[1].body["refresh_token"]
            await self._pace()
        connection.close()

    async def _agent_client(self, name: str) -> None:
        connection = Connection(self._service.url)
        machine = {"grant_type": "client_credentials", **self._service.credentials("demo")}
        agent = {"client_id": self._agent[0], "client_secret": self._agent[1]}
        while got := await self._get(name, connection, machine):
            held, era = got[0], self.books.era
            exchanged = await self.ask(name, connection, TOKEN, {**agent, **exchanging(held.token)})
            if exchanged is None:
                break
            if exchanged.status == 200:
                self.books.hold(exchanged.body["access_token"], era)
            elif held.era == self.books.era and self.books.settled(held.jti):
                self.books.complain(f"{name}: {exchanged.status} {exchanged.body}")
            await self._pace()
        connection.close()

    async def _asking(self, name: str) -> None:
        connection = Connection(self._service.url)
        demo = self._service.credentials("demo")
        while not self._over.is_set():
            held = self._any_held()
            if held is None:
                await self._pace()
                continue
            revoked, settled = held.jti in self.books.revoked, self.books.settled(held.jti)
            form = {**demo, "token": held.token}
            response = await self.ask(name, connection, INTROSPECT, form)
            if response is None:
                break
            if response.status != 200:
                self.books.complain(f"{name}: {response.status} {response.body}")
                return
            active = response.body["active"]
            if revoked and active:
                self.books.complain(f"{name}: a revoked token is active: {held.jti}")
            still = settled and self.books.settled(held.jti) and held.era == self.books.era
            if still and not active:
                self.books.complain(f"{name}: a token that is held is inactive: {held.jti}")
            await self._pace()
        connection.close()

    async def _revoking(self, name: str) -> None:
        connection = Connection(self._service.url)
        demo = self._service.credentials("demo")
        while not self._over.is_set():
            held = self._any_held()
            if held is None:
                await self._pace()
                continue
            self.books.unsettled.add(held.jti)
            form = {**demo, "token": held.token}
            response = await self.ask(name, connection, REVOKE, form)
            if response is not None and response.status == 200:
                self.books.revoked.add(held.jti)
            elif response is not None:
                self.books.complain(f"{name}: {response.status} {response.body}")
            await asyncio.sleep(5 * _PACE_SECONDS)
        connection.close()

    def _any_held(self) -> Held | None:
        recent = self.books.recent
        return self._dice.choice(recent) if recent else None
