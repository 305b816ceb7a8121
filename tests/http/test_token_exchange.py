"""A chain of services that act for a person, over real HTTP, checked by PyJWT at each hop."""

from typing import Any

import jwt
import pytest

from domain.client_configuration import TOKEN_EXCHANGE
from tests.http.live import REVOKE, Live
from tests.http.person import WebClient, a_person, a_web_client

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
HOPS = ("agent", "tools", "mcp-server")


@pytest.fixture(scope="module")
def hops(live: Live) -> list[WebClient]:
    """The services of the chain; each takes tokens that are meant for it."""
    everybody = {"allowed": list(HOPS)}
    return [
        a_web_client(
            live,
            name,
            grant_types=[TOKEN_EXCHANGE],
            redirects={},
            scopes=["user", "mcp"],
            audiences=everybody,
        )
        for name in HOPS
    ]


def exchange(client: WebClient, subject_token: str, **form: str) -> dict[str, Any]:
    """Exchange a token, and return the answer whatever it is."""
    asked = {"subject_token": subject_token, "subject_token_type": ACCESS_TOKEN, **form}
    answered: dict[str, Any] = client.ask(TOKEN_EXCHANGE, **asked).json()
    return answered


def verified(live: Live, token: str, audience: str) -> dict[str, Any]:
    """Return the claims of a token as a resource server takes it."""
    keys = jwt.PyJWKClient(f"{live.service.url}/oauth/jwks.json")
    return jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token).key,
        algorithms=["ES256"],
        audience=audience,
        issuer=live.service.url,
    )


def test_a_chain_of_services(live: Live, hops: list[WebClient]) -> None:
    """From the person's client to the last service each hop is verified; cutting the person's
    token with its descendants voids all of them at once.
    """
    person = a_person(live, "delegating")
    shop = a_web_client(
        live, "delegating-shop", audiences={"allowed": list(HOPS), "default": ["agent"]}
    )
    tokens = [shop.tokens_from(person, scope="user mcp", nonce=None)["access_token"]]
    for number, hop in enumerate(hops):
        target = HOPS[min(number + 1, len(HOPS) - 1)]
        answered = exchange(hop, tokens[-1], audience=target)
        assert answered["issued_token_type"] == ACCESS_TOKEN
        tokens.append(answered["access_token"])
        claims = verified(live, tokens[-1], target)
        assert claims["sub"] == "delegating"
        assert claims["act"]["sub"] == hop.client_id
    last = verified(live, tokens[-1], HOPS[-1])
    seen = [
        live.introspect(token, (client.client_id, client.secret))["active"]
        for token, client in zip(tokens, [shop, *hops], strict=True)
    ]
    live.http.post(
        REVOKE,
        auth=(shop.client_id, shop.secret),
        data={"token": tokens[0], "include_descendants": "true"},
    )
    after = [
        live.introspect(token, (client.client_id, client.secret))["active"]
        for token, client in zip(tokens, [shop, *hops], strict=True)
    ]

    assert last["act"] == {
        "sub": "mcp-server",
        "act": {"sub": "tools", "act": {"sub": "agent"}},
    }
    assert seen == [True] * 4
    assert after == [False] * 4
    assert exchange(hops[0], tokens[0], audience="tools")["error"] == "invalid_request"


def test_ending_the_session_voids_the_chain(live: Live, hops: list[WebClient]) -> None:
    """What descends from a session's tokens ends with the session."""
    person = a_person(live, "leaving-early")
    shop = a_web_client(live, "early-shop", audiences={"allowed": list(HOPS), "default": ["agent"]})
    token = shop.tokens_from(person, scope="user mcp", nonce=None)["access_token"]
    child = exchange(hops[0], token, audience="tools")["access_token"]
    sid = live.introspect(token, (shop.client_id, shop.secret))["sid"]
    live.http.post(f"/admin/sessions/{sid}/end", headers=live.bearer())

    assert live.introspect(child, (hops[0].client_id, hops[0].secret)) == {"active": False}


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"subject_token": "x"},
        {"subject_token": "x", "subject_token_type": ACCESS_TOKEN},
        {"subject_token": "x" * 20_000, "subject_token_type": ACCESS_TOKEN},
        {"subject_token": "\u00e9", "subject_token_type": ACCESS_TOKEN},
    ],
)
def test_malformed_requests(live: Live, hops: list[WebClient], form: dict[str, str]) -> None:
    """Bad input gets a clear error and is never our fault."""
    answered = hops[0].ask(TOKEN_EXCHANGE, **form)

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")


def test_revocation_wants_a_clear_wish(live: Live) -> None:
    """What is neither true nor false is no wish."""
    answered = live.http.post(
        REVOKE, auth=live.demo, data={"token": live.token(), "include_descendants": "maybe"}
    )

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")
