"""What the benchmark asks, endpoint by endpoint, and what each is measured against."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tests.benchmarks.by_key import ClientWithKey, with_proofs
from tests.benchmarks.connection import Connection
from tests.benchmarks.delegations import Delegations
from tests.benchmarks.families import TOKEN, Scene, machine_token
from tests.benchmarks.load import FORM, Target
from tests.benchmarks.service import RunningService, basic, token_request
from tests.benchmarks.sign_only import SIGN_ONLY_PATH

SIGN_ONLY, CLIENT_CREDENTIALS = "sign_only", "client_credentials"
CEILINGS = {
    CLIENT_CREDENTIALS: SIGN_ONLY,
    "refresh_token": CLIENT_CREDENTIALS,
    "token_exchange": CLIENT_CREDENTIALS,
    "private_key_jwt": CLIENT_CREDENTIALS,
    "dpop": CLIENT_CREDENTIALS,
    "authorization_code": CLIENT_CREDENTIALS,
}
"""What each is measured against: signing alone, and a token that nothing is presented for."""
CODES = 400
"""Redeemed in a round: each takes a person's way through the authorization endpoint first."""
_ONCE_A_SECOND = 8000
"""Values made for each second of a round: more than any machine here has asked for."""
_FAMILIES_A_SECOND = 6
_AT_ONCE = 32
_BROWSERS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to repeat: for the seconds of a round, or `requests` times where that is given."""

    target: Target
    requests: int | None = None


class Endpoints:
    """Everything that can be asked of one service; what it takes is made when it is first asked."""

    def __init__(self, service: RunningService, seconds: float) -> None:
        self._service = service
        self._seconds = seconds
        self._made: dict[type, Any] = {}
        self._browsers: list[Scene] = []
        self._asked: dict[str, Callable[[int], Asked]] = {
            SIGN_ONLY: lambda _: Asked(token_request(service, SIGN_ONLY_PATH)),
            CLIENT_CREDENTIALS: lambda _: Asked(token_request(service)),
            "token_exchange": lambda _: Asked(self._of(Delegations).request()),
            "private_key_jwt": lambda _: Asked(self._of(ClientWithKey).request(seconds)),
            "dpop": lambda _: Asked(with_proofs(service, seconds)),
            "refresh_token": self._refresh,
            "authorization_code": self._codes,
            "introspection": lambda _: Asked(self._about_token("/oauth/introspect", self._token())),
            "introspection_once": lambda _: Asked(self._each_once("/oauth/introspect")),
            "introspection_revoked": lambda _: Asked(self._revoked()),
            "revocation": lambda _: Asked(self._each_once("/oauth/revoke")),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Every endpoint, in the order in which they take turns."""
        return tuple(self._asked)

    def asked(self, name: str, connections: int) -> Asked:
        """Return what to send to an endpoint in one round. Raises KeyError."""
        return self._asked[name](connections)

    def _of(self, kind: type) -> Any:
        if kind not in self._made:
            self._made[kind] = made = kind(self._service)
            if isinstance(made, Scene):
                made.prepare()
        return self._made[kind]

    def _refresh(self, connections: int) -> Asked:
        # Fresh families each time: the last answers of a round are lost, their tokens with them.
        scene: Scene = self._of(Scene)
        # So many that none of them reaches what may be alive of one.
        families = connections + 2 + int(_FAMILIES_A_SECOND * self._seconds)
        tokens = tuple(scene.refresh_token() for _ in range(families))
        body = "grant_type=refresh_token&client_id=bench-web"
        return Asked(Target(f"{self._service.url}{TOKEN}", "", body, tokens))

    def _codes(self, _: int) -> Asked:
        scene: Scene = self._of(Scene)
        # Redemptions within one session wait for each other; a person redeems one at a time.
        self._browsers = self._browsers or [scene.beside() for _ in range(_BROWSERS)]
        codes = tuple(self._browsers[number % _BROWSERS].code() for number in range(CODES))
        form = scene.redemption("")
        del form["code"]
        target = Target(f"{self._service.url}{TOKEN}", "", str(httpx.QueryParams(form)))
        return Asked(replace(target, once=codes, once_name="code"), requests=CODES)

    def _token(self) -> str:
        return machine_token(self._service, "demo")

    def _about_token(self, path: str, token: str) -> Target:
        client = self._service.credentials("demo")
        authorization = basic(client["client_id"], client["client_secret"])
        return Target(f"{self._service.url}{path}", authorization, f"token={token}")

    def _revoked(self) -> Target:
        token = self._token()
        revocation = self._about_token("/oauth/revoke", token)
        headers = {"Authorization": revocation.authorization, "Content-Type": FORM}
        answered = httpx.post(revocation.url, headers=headers, content=revocation.body)
        assert answered.status_code == 200, answered.text
        return self._about_token("/oauth/introspect", token)

    def _each_once(self, path: str) -> Target:
        count = int(_ONCE_A_SECOND * max(2, self._seconds))
        tokens = asyncio.run(_tokens(self._service, count))
        target = replace(self._about_token(path, ""), body="token_type_hint=access_token")
        return replace(target, once=tokens, once_name="token")


async def _tokens(service: RunningService, count: int) -> tuple[str, ...]:
    """Return so many tokens of the demo client."""
    form = {"grant_type": "client_credentials", **service.credentials("demo")}
    left = iter(range(count))
    tokens: list[str] = []

    async def ask() -> None:
        connection = Connection(service.url)
        for _ in left:
            _, answer = await connection.post(TOKEN, form)
            tokens.append(answer["access_token"])
        connection.close()

    await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
    return tuple(tokens)
