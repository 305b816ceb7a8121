"""Services that act for a person in a chain, over real HTTP; another library checks each hop."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from domain.client_configuration import TOKEN_EXCHANGE
from tests.http.live import REVOKE, Live
from tests.http.person import WebClient, a_person, a_web_client
from tests.waiting import eventually

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
UNKNOWN = "019cb391-c2fa-7bd5-9a71-cb94b598a865"
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
    published = live.http.get("/oauth/jwks.json").json()
    decoded = jwt.decode(token, KeySet.import_key_set(published), algorithms=["ES256"])
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": live.service.url},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    ).validate(decoded.claims)
    assert decoded.header["typ"] == "at+jwt"
    return decoded.claims


def test_a_chain_of_services(live: Live, hops: list[WebClient]) -> None:
    """From the person's client to the last service each hop is verified; cutting the person's
    token with its descendants voids all of them at once.
    """
    person = a_person(live, "delegating")
    shop = a_web_client(
        live, "delegating-shop", audiences={"allowed": list(HOPS), "default": ["agent"]}
    )
    tokens = [shop.tokens_from(person, scope="user mcp", nonce=None)["access_token"]]
    assert "act" not in verified(live, tokens[0], "agent")
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


def test_the_tree_is_drawn_from_any_of_its_tokens(live: Live, hops: list[WebClient]) -> None:
    """Ancestors, siblings and descendants, with what became of each; a cut voids all below it."""
    person = a_person(live, "family-tree")
    shop = a_web_client(live, "tree-shop", audiences={"allowed": list(HOPS), "default": ["agent"]})
    root = shop.tokens_from(person, scope="user mcp", nonce=None)["access_token"]
    first, second = (exchange(hops[0], root, audience="tools")["access_token"] for _ in range(2))
    leaf = exchange(hops[1], first, audience="mcp-server")["access_token"]
    live.http.post(
        REVOKE,
        auth=(hops[0].client_id, hops[0].secret),
        data={"token": first, "include_descendants": "true"},
    )
    eventually(live.projected)
    asked = [
        live.http.get(f"/audit/tokens/{jti_of(token)}/lineage", headers=live.bearer()).json()
        for token in (root, first, second, leaf)
    ]
    nodes = asked[0]["nodes"]

    assert [one["asked"] for one in asked] == [jti_of(t) for t in (root, first, second, leaf)]
    assert all(one["nodes"] == nodes and one["complete"] for one in asked)
    assert [(one["jti"], one["depth"], one["state"], one["actors"]) for one in nodes] == [
        (jti_of(root), 0, "live", []),
        (jti_of(first), 1, "revoked", ["agent"]),
        (jti_of(leaf), 2, "void", ["tools", "agent"]),
        (jti_of(second), 1, "live", ["agent"]),
    ]
    assert nodes[1]["parent"] == jti_of(root)
    assert (nodes[1]["revoked_by"], nodes[1]["cut"]) == ("agent", True)


def test_a_token_of_its_own_is_a_tree_of_one(live: Live) -> None:
    """And an unknown one is not found."""
    token = live.token()
    eventually(live.projected)
    headers = live.bearer()
    alone = live.http.get(f"/audit/tokens/{jti_of(token)}/lineage", headers=headers).json()
    unknown = live.http.get(f"/audit/tokens/{UNKNOWN}/lineage", headers=headers)

    assert [(one["jti"], one["parent"]) for one in alone["nodes"]] == [(jti_of(token), None)]
    assert unknown.status_code == 404


def test_may_act_is_in_the_token_and_binds(live: Live, hops: list[WebClient]) -> None:
    """Who is named acts, others do not; and a client that may impersonate is not named."""
    person = a_person(live, "choosy")
    shop = a_web_client(
        live,
        "choosy-shop",
        audiences={"allowed": list(HOPS), "default": ["agent", "tools"]},
        delegation={"may_act": ["tools"]},
    )
    secretly = a_web_client(
        live,
        "impersonator",
        grant_types=[TOKEN_EXCHANGE],
        redirects={},
        audiences={"allowed": ["impersonator"], "serves": ["agent"]},
        delegation={"impersonation": True},
    )
    free = a_web_client(live, "free-shop", audiences={"allowed": list(HOPS), "default": ["agent"]})
    bound = shop.tokens_from(person, scope="user mcp", nonce=None)["access_token"]
    unbound = free.tokens_from(person, scope="user mcp", nonce=None)["access_token"]
    refused = exchange(hops[0], bound, audience="tools")
    given = exchange(hops[1], bound, audience="mcp-server")["access_token"]
    quiet = exchange(secretly, unbound, audience="impersonator")["access_token"]
    eventually(live.projected)
    lineage = live.http.get(f"/audit/tokens/{jti_of(quiet)}/lineage", headers=live.bearer()).json()[
        "nodes"
    ]

    assert verified(live, bound, "tools")["may_act"] == {"sub": "tools"}
    assert refused["error"] == "invalid_request"
    assert "actor mismatch" in refused["error_description"]
    assert verified(live, given, "mcp-server")["act"] == {"sub": "tools"}
    assert "act" not in verified(live, quiet, "impersonator")
    assert [one["impersonation"] for one in lineage] == [False, True]


def jti_of(token: str) -> str:
    """Return the name of a token, read without a look at its signature."""
    claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return str(claims["jti"])


def test_nobody_acts_by_a_name_like_a_clients(live: Live, hops: list[WebClient]) -> None:
    """A service that `may_act` does not name gains nothing by a person who is named like the one
    that it names, and logs in to it.
    """
    victim = a_person(live, "acted-for-by-name")
    shop = a_web_client(
        live,
        "named-shop",
        audiences={"allowed": ["tools", "evil"], "default": ["tools", "evil"]},
        delegation={"may_act": ["tools"]},
    )
    evil = a_web_client(
        live,
        "evil",
        grant_types=["authorization_code", TOKEN_EXCHANGE],
        audiences={"allowed": ["evil"], "default": ["evil"]},
    )
    token = shop.tokens_from(victim, scope="user", nonce=None)["access_token"]
    own = evil.tokens_from(a_person(live, "tools"), scope="user", nonce=None)["access_token"]
    refused = [
        exchange(evil, token),
        exchange(evil, token, actor_token=own, actor_token_type=ACCESS_TOKEN),
    ]

    assert [one.get("error") for one in refused] == ["invalid_request"] * 2
    assert exchange(hops[1], token, audience="tools").get("error") is None
