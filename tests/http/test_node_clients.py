"""oauth4webapi and openid-client complete every flow that the metadata advertises."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import jwt
import pytest
from jwt.algorithms import ECAlgorithm

from application.subject_tokens import ACCESS_TOKEN_TYPE
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    JWT_BEARER,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from tests.application.people.upstream_provider import Provider, SigningKey, running_provider
from tests.http.live import Live
from tests.http.node import require_libraries, running, visit
from tests.http.person import CALLBACK, SCOPE, Person, WebClient, a_person, a_web_client
from tests.http.test_device_code import decide

LIBRARIES = ("oauth4webapi", "openid_client")
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")
CLIENT = "node-client"
BY_KEY = "node-by-key"
GRANT_TYPES = [
    CLIENT_CREDENTIALS,
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    DEVICE_CODE,
    TOKEN_EXCHANGE,
    JWT_BEARER,
]


@dataclass(frozen=True)
class World:
    """The live service with a person, a client by secret, one by key, and a trusted issuer."""

    live: Live
    person: Person
    client: WebClient
    key: SigningKey
    issuer: Provider

    def given(self, library: str, method: str = METHODS[0], **more: Any) -> dict[str, Any]:
        """Return what a script needs to be the client."""
        by_key = method == "private_key_jwt"
        auth = {"jwk": self._private_jwk()} if by_key else {"secret": self.client.secret}
        return {
            "library": library,
            "issuer": self.live.service.url,
            "client_id": BY_KEY if by_key else CLIENT,
            "auth": {"method": method, **auth},
            **more,
        }

    def _private_jwk(self) -> dict[str, Any]:
        private: Any = self.key.private
        return {**ECAlgorithm.to_jwk(private, as_dict=True), "kid": self.key.kid}


@pytest.fixture(scope="module")
def world(live: Live) -> Iterator[World]:
    """Everything that the scripts meet."""
    require_libraries()
    key = SigningKey.make("ES256")
    with ExitStack() as stack:
        issuer = stack.enter_context(running_provider(datetime.now(UTC)))
        terms = {"issuer": issuer.issuer, "scopes": ["user", "mcp"], "subject_claim": "sub"}
        live.http.put("/admin/issuers", headers=live.bearer(), json=terms).raise_for_status()
        live.register(
            BY_KEY,
            scopes=["mcp"],
            authentication={"method": "private_key_jwt", "jwks": [key.published]},
        )
        client = a_web_client(live, CLIENT, grant_types=GRANT_TYPES)
        yield World(live, a_person(live, "node-person"), client, key, issuer)


@pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "dpop"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_machine_gets_asks_about_and_revokes_a_token(
    world: World, library: str, method: str, dpop: bool
) -> None:
    """client_credentials, introspection and revocation, with every way to authenticate."""
    given = world.given(library, method, parameters={"scope": "mcp"}, dpop=dpop)
    with running("machine", **given) as script:
        heard = script.hear()

    assert heard["token"]["scope"] == "mcp"
    assert heard["token"]["token_type"] == ("dpop" if dpop else "bearer")
    assert ("cnf" in heard["before"]) is dpop
    assert heard["before"]["active"] is True
    assert heard["after"] == {"active": False}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_registers_itself(generous: Live, library: str) -> None:
    """Dynamic registration (RFC 7591), then a bound token, by a nonce that is asked for."""
    require_libraries()
    metadata = {"client_name": "Node", "grant_types": ["client_credentials"], "response_types": []}
    given = {
        "library": library,
        "issuer": generous.service.url,
        "metadata": metadata,
        "parameters": {"scope": "mcp"},
        "dpop": True,
    }
    with running("register", **given) as script:
        heard = script.hear()

    assert heard["registered"]["client_name"] == "Node"
    assert heard["registered"]["grant_types"] == ["client_credentials"]
    assert (heard["token"]["token_type"], heard["token"]["scope"]) == ("dpop", "mcp")


@pytest.mark.parametrize("pushed", [False, True], ids=["plain", "pushed"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "dpop"])
def test_a_person_logs_in(world: World, library: str, pushed: bool, dpop: bool) -> None:
    """Code with PKCE, a verified ID token, userinfo, rotation, and the way out again."""
    parameters = {"redirect_uri": CALLBACK, "scope": SCOPE}
    given = world.given(library, parameters=parameters, pushed=pushed, dpop=dpop)
    with running("person", **given) as script:
        url = script.hear()["open"]
        script.say({"callback": visit(world.person, url)})
        heard = script.hear()
    left = world.person.open(heard["logout"].removeprefix(world.live.service.url))

    assert ("request_uri=" in url) is pushed
    assert heard["claims"]["sub"] == heard["userinfo"]["sub"] == heard["again"]["sub"]
    assert heard["tokens"]["token_type"] == ("dpop" if dpop else "bearer")
    assert heard["refreshed"]["refresh_token"] != heard["tokens"]["refresh_token"]
    assert left.status_code == 200


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_device_is_let_in(world: World, library: str) -> None:
    """The library polls the device grant, and has tokens once the person said yes."""
    with running("device", **world.given(library, parameters={"scope": SCOPE})) as script:
        device = script.hear()["device"]
        decide(world.person, device["user_code"], "allow")
        script.say({})
        heard = script.hear()

    assert heard["tokens"]["scope"] == "user anonymous openid offline_access"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_token_is_exchanged(world: World, library: str) -> None:
    """Token exchange (RFC 8693) by the library's call for any grant."""
    subject_token = world.client.tokens_from(world.person)["access_token"]
    parameters = {"subject_token": subject_token, "subject_token_type": ACCESS_TOKEN_TYPE}
    given = world.given(library, grant_type=TOKEN_EXCHANGE, parameters=parameters)
    with running("grant", **given) as script:
        token = script.hear()["token"]

    assert token["issued_token_type"] == ACCESS_TOKEN_TYPE
    assert world.live.introspect(token["access_token"], credentials(world))["act"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_assertion_is_redeemed(world: World, library: str) -> None:
    """jwt-bearer (RFC 7523): what a trusted issuer says about a person becomes a token."""
    parameters = {"assertion": an_assertion(world), "scope": "user"}
    given = world.given(library, grant_type=JWT_BEARER, parameters=parameters)
    with running("grant", **given) as script:
        token = script.hear()["token"]

    assert token["scope"] == "user"


def credentials(world: World) -> tuple[str, str]:
    """Return the id and secret of the client."""
    return CLIENT, world.client.secret


def an_assertion(world: World) -> str:
    """Return what the trusted issuer says about the person."""
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": world.issuer.issuer,
        "sub": world.person.login,
        "aud": world.live.service.url,
        "iat": now,
        "exp": now + 120,
        "jti": token_hex(8),
        "scope": "user",
    }
    private: Any = world.issuer.key.private
    return jwt.encode(claims, private, algorithm="ES256", headers={"kid": world.issuer.key.kid})
