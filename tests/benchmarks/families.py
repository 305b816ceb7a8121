"""Codes and refresh tokens under concurrency, loss, death and theft: counted, not estimated.

`python -m tests.benchmarks.families` runs all of these, or those that are named:

- codes: many redemptions of one code at once; exactly one may succeed.
- refresh: many uses of one refresh token at once; inside the window one successor for all, with
  the window at 0 at most one success.
- lost: rotations by well-behaved clients, some of whose answers get lost; nobody is logged out.
- abandoned: the same, but clients hang up at once: the retry races the first request.
- killed: rotations while workers are killed with SIGKILL; nobody is stranded.
- stolen: a retired token is replayed; always detected.

At the end the log itself is asked: no family has two rotations of one generation.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import psycopg

from tests.benchmarks.connection import Answer, Connection, Cut
from tests.benchmarks.service import Reachable, RunningService, running_service
from tests.http.person import challenge
from tests.processes import living_children

TOKEN = "/oauth/token"
CALLBACK = "https://client.example/callback"
PASSWORD = "correct horse battery staple"
AT_ONCE = 64
RETRIES = 200
CODES_A_SESSION = 500
"""Half of what a session takes."""
TOKEN_SECONDS = 10
"""A family rotates dozens of times a second here; a thousand of its tokens may be alive at once."""
CLIENTS = {"bench-web": 10, "bench-strict": 0}
"""Clients by their grace window in seconds."""


class Scene:
    """A person that is logged in and has consented, and the clients it uses."""

    def __init__(
        self, service: Reachable, *, token_seconds: int = 3600, grace: int = CLIENTS["bench-web"]
    ) -> None:
        self.service = service
        self._graces = {**CLIENTS, "bench-web": grace}
        self._token_seconds = token_seconds
        self.browser = httpx.Client(base_url=service.url, timeout=30)
        self._codes = 0
        self.verifier = secrets.token_urlsafe(32)

    def prepare(self) -> None:
        """Register person and clients, log in, consent."""
        headers = administrator(self.service)
        self._admin("POST", "/admin/principals", headers, {"subject": "pat", "roles": ["user"]})
        self._admin("PUT", "/admin/principals/pat/login", headers, _login())
        for client_id, grace in self._graces.items():
            configuration = _client(client_id, grace, self._token_seconds)
            self._admin("POST", "/admin/clients", headers, configuration)
        for client_id in CLIENTS:
            self._consent(client_id)

    def beside(self) -> "Scene":
        """Return the same in another browser, where the person is logged in once more."""
        other = Scene(self.service)
        other.verifier = self.verifier
        other._consent("bench-web")
        return other

    def code(self, client_id: str = "bench-web") -> str:
        """Return a fresh code: the person is logged in and consented already."""
        if self._codes == CODES_A_SESSION:
            # In another browser: what is held of the session that was does not end.
            self.browser, self._codes = httpx.Client(base_url=self.service.url, timeout=30), 0
            self._consent(client_id)
        self._codes += 1
        for _ in range(RETRIES):  # a worker may be a moment behind on what was registered
            try:
                answered = self.browser.get("/oauth/authorize", params=self._parameters(client_id))
            except httpx.TransportError:  # its worker was killed
                continue
            sent = dict(parse_qsl(urlsplit(answered.headers.get("location", "")).query))
            if "code" in sent:
                return str(sent["code"])
        raise AssertionError("no code is to be had")

    def redemption(self, code: str, client_id: str = "bench-web") -> dict[str, str]:
        """Return the form that redeems a code."""
        return {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "code_verifier": self.verifier,
            "redirect_uri": CALLBACK,
        }

    def refresh_token(self, client_id: str = "bench-web") -> str:
        """Return the first refresh token of a fresh family."""
        for _ in range(RETRIES):
            form = self.redemption(self.code(client_id), client_id)
            try:
                answered = self.browser.post(TOKEN, data=form)
            except httpx.TransportError:
                continue
            if answered.status_code == 200:
                token: str = answered.json()["refresh_token"]
                return token
        raise AssertionError("no family is to be had")

    def _consent(self, client_id: str) -> None:
        for _ in range(RETRIES):
            page = self._open("/oauth/authorize", self._parameters(client_id))
            if 'action="/login"' in page.text:
                page = self._send(page, "/login", login="pat", password=PASSWORD)
            if 'action="/consent"' in page.text:
                page = self._send(page, "/consent", decision="allow")
            if "code=" in page.headers.get("location", ""):
                return
        raise AssertionError(page.text)

    def _open(self, path: str, parameters: dict[str, str] | None = None) -> httpx.Response:
        page = self.browser.get(path, params=parameters)
        while page.headers.get("location", "").startswith("/"):
            page = self.browser.get(page.headers["location"])
        return page

    def _send(self, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
        hidden = {
            name: page.text.split(f'name="{name}" value="')[1].split('"')[0]
            for name in ("csrf", "request")
        }
        answered = self.browser.post(path, data={**hidden, **fields})
        location = answered.headers.get("location", "")
        return self._open(location) if location.startswith("/") else answered

    def _admin(self, method: str, path: str, headers: dict[str, str], body: Any) -> None:
        answered = self.browser.request(method, path, headers=headers, json=body)
        assert answered.status_code in (200, 201), answered.text

    def _parameters(self, client_id: str) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "scope": "openid offline_access user",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
        }


def administrator(service: Reachable) -> dict[str, str]:
    """Return the Authorization header of an administrator."""
    token = machine_token(service, "administration")
    return {"Authorization": f"Bearer {token}"}


def machine_token(service: Reachable, name: str) -> str:
    """Return a token of the bootstrap client `name`."""
    client = service.credentials(name)
    answered = httpx.post(
        f"{service.url}{TOKEN}",
        auth=(client["client_id"], client["client_secret"]),
        data={"grant_type": "client_credentials"},
    )
    token: str = answered.json()["access_token"]
    return token


def _login() -> dict[str, str]:
    return {"login": "pat", "password": PASSWORD}


def _client(client_id: str, grace: int, token_seconds: int) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_type": "public",
        "grant_types": ["authorization_code", "refresh_token"],
        "scopes": ["openid", "offline_access", "user"],
        "redirects": {"redirect_uris": [CALLBACK]},
        "refresh": {"grace": grace},
        "tokens": {"lifetime": token_seconds},
    }


def refreshing(token: str, client_id: str = "bench-web") -> dict[str, str]:
    """Return the form that uses a refresh token."""
    return {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token}


async def codes(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Redeem each of many codes many times at once."""
    connections = [Connection(scene.service.url) for _ in range(AT_ONCE)]
    successes: Counter[int] = Counter()
    for number in range(options.rounds):
        form = scene.redemption(await asyncio.to_thread(scene.code))
        answers = await asyncio.gather(*(one.post(TOKEN, form) for one in connections))
        successes[sum(status == 200 for status, _ in answers)] += 1
        _progress("codes", number + 1, options.rounds)
    _hang_up(connections)
    return {"rounds": options.rounds, "successes a round": dict(successes)}


async def refresh(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Use each of many refresh tokens many times at once, with a window and without."""
    rounds = max(1, options.rounds // 5)
    connections = [Connection(scene.service.url) for _ in range(AT_ONCE)]
    found: dict[str, Counter[str]] = {client_id: Counter() for client_id in CLIENTS}
    for number in range(rounds):
        for client_id in CLIENTS:
            token = await asyncio.to_thread(scene.refresh_token, client_id)
            form = refreshing(token, client_id)
            answers = await asyncio.gather(*(one.post(TOKEN, form) for one in connections))
            won = [answer["refresh_token"] for status, answer in answers if status == 200]
            found[client_id][f"{len(won)} answered with {len(set(won))} successor(s)"] += 1
        _progress("refresh", number + 1, rounds)
    _hang_up(connections)
    return {"rounds": rounds, **{name: dict(counts) for name, counts in found.items()}}


async def lost(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Rotate with answers getting lost."""
    return await _rotations(scene, options.rotations, loss=0.05, seed=options.seed)


async def abandoned(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Rotate by clients that hang up at once and ask again: their retry races the first request."""
    rotations = options.rotations // 4
    return await _rotations(scene, rotations, loss=0.05, seed=options.seed, abandoned=True)


async def killed(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Rotate while workers are killed."""
    stop = asyncio.Event()
    service = scene.service
    assert isinstance(service, RunningService)

    async def kill() -> int:
        dice, kills = random.Random(options.seed), 0
        while not stop.is_set():
            # The oldest, and not too often: a worker that dies twice within 5.5 seconds is taken
            # for one that cannot run, and the server ends.
            await asyncio.sleep(dice.uniform(1.6, 3.0))
            workers = living_children(service.parent.pid, "spawn_main")
            if workers and not stop.is_set():
                workers[0].kill()
                kills += 1
        return kills

    killer = asyncio.create_task(kill())
    counts = await _rotations(scene, options.rotations // 4, loss=0.0, seed=options.seed)
    stop.set()
    return {"workers killed": await killer, **counts}


async def _rotations(
    scene: Scene, total: int, *, loss: float, seed: int, abandoned: bool = False
) -> dict[str, Any]:
    tokens = [await asyncio.to_thread(scene.refresh_token) for _ in range(AT_ONCE)]
    counts: Counter[str] = Counter()
    began = monotonic()

    async def client(number: int, token: str) -> None:
        dice, connection = random.Random(seed * 1000 + number), Connection(scene.service.url)
        while counts["rotations"] < total:
            counts["rotations"] += 1
            if dice.random() < loss:
                await _lose(connection, refreshing(token), abandoned, dice, counts)
            status, answer = await _insist(connection, refreshing(token), counts)
            if status != 200:
                counts[f"logged out: {answer.get('error')}"] += 1
                return
            token = answer["refresh_token"]
            _progress("rotations", counts["rotations"], total)
        connection.close()

    await asyncio.gather(*(client(number, token) for number, token in enumerate(tokens)))
    seconds = monotonic() - began
    return {**counts, "a second": round(counts["rotations"] / seconds)}


async def _lose(
    connection: Connection,
    form: dict[str, str],
    abandoned: bool,
    dice: random.Random,
    counts: Counter[str],
) -> None:
    if abandoned:
        counts["requests abandoned"] += 1
        await connection.post_and_leave(TOKEN, form, after=dice.choice((0.0, 0.002, 0.02)))
    else:
        counts["answers lost"] += 1
        await connection.post_and_lose(TOKEN, form)


async def _insist(connection: Connection, form: dict[str, str], counts: Counter[str]) -> Answer:
    """Ask until there is an answer: what a client does that is cut off, or gets 503."""
    for _ in range(RETRIES):
        try:
            status, answer = await connection.post(TOKEN, form)
        except Cut:
            counts["connections cut"] += 1
            await asyncio.sleep(0.02)
            continue
        if status != 503:
            return status, answer
        counts["answered 503"] += 1
        await asyncio.sleep(0.05)
    return 0, {"error": "no answer"}


async def stolen(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Replay a retired token, by a thief or by the person after a thief rotated."""
    counts: Counter[str] = Counter()
    left = iter(range(options.thefts))

    async def victim() -> None:
        connection = Connection(scene.service.url)
        for number in left:
            form = scene.redemption(await asyncio.to_thread(scene.code))
            _, first = await connection.post(TOKEN, form)
            _, second = await connection.post(TOKEN, refreshing(first["refresh_token"]))
            _, third = await connection.post(TOKEN, refreshing(second["refresh_token"]))
            status, _ = await connection.post(TOKEN, refreshing(first["refresh_token"]))
            after, _ = await connection.post(TOKEN, refreshing(third["refresh_token"]))
            counts["detected" if (status, after) == (400, 400) else "missed"] += 1
            _progress("thefts", number + 1, options.thefts)
        connection.close()

    await asyncio.gather(*(victim() for _ in range(8)))
    return dict(counts)


def forks(database_url: str) -> int:
    """Return how many generations of families were made twice, by what the log says."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM grantledger.events"
            " WHERE topic IN ('family.started', 'family.rotated')"
            " GROUP BY originator_id, state->>'generation' HAVING count(*) > 1) AS twice"
        ).fetchone()
    assert row is not None
    return int(row[0])


Part = Callable[[Scene, argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]]
PARTS: dict[str, Part] = {
    "codes": codes,
    "refresh": refresh,
    "lost": lost,
    "abandoned": abandoned,
    "killed": killed,
    "stolen": stolen,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for and print what was counted."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="grantledger-families-") as folder:
        Path(folder).chmod(0o755)
        with running_service(Path(folder), workers=options.workers) as service:
            scene = Scene(service, token_seconds=TOKEN_SECONDS)
            scene.prepare()
            for name in options.parts or PARTS:
                began = monotonic()
                counted = asyncio.run(PARTS[name](scene, options))
                print(f"{name}: {counted} in {monotonic() - began:.0f} s", flush=True)
            twice = forks(f"postgresql://postgres@/grantledger?host={service.socket_dir}")
            print(f"generations made twice, by the log: {twice}")
            scene.browser.close()
    return 1 if twice else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.families")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all if left out")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--rotations", type=int, default=100_000)
    parser.add_argument("--thefts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(arguments)


def _progress(what: str, done: int, total: int) -> None:
    if done % max(1, total // 20) == 0:
        print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)


def _hang_up(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
