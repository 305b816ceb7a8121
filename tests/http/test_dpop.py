"""Tokens bound to a key (RFC 9449) over HTTP: every grant, our own endpoints, two workers."""

from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest

from tests.application.dpop_key import DpopKey
from tests.http.live import FORM, INTROSPECT, TOKEN, Live
from tests.http.person import CALLBACK, Person, WebClient, a_person, a_web_client
from tests.waiting import eventually

ADMIN = "/admin/keys"


@pytest.fixture(scope="module")
def alice(live: Live) -> Person:
    """Somebody who logs in."""
    return a_person(live, "dpop-alice")


@pytest.fixture(scope="module")
def app(live: Live) -> WebClient:
    """An application on a telephone: public, with a key of its own."""
    client = a_web_client(live, "dpop-app", client_type="public")
    client.key = DpopKey()
    return client


def proof(live: Live, key: DpopKey, path: str = TOKEN, **more: Any) -> dict[str, str]:
    """Return the header of a proof for a request to `path`."""
    return {"DPoP": key.proof(f"{live.service.url}{path}", datetime.now(UTC), **more)}


def bound_token(live: Live, key: DpopKey) -> str:
    """Return a token of the administration client that is bound to `key`."""
    answered = live.http.post(
        TOKEN, auth=live.administration, data=FORM, headers=proof(live, key)
    ).json()
    assert answered["token_type"] == "DPoP"
    token: str = answered["access_token"]
    return token


def confirmation(token: str) -> Any:
    """Return the key that a token is bound to."""
    return jwt.decode(token, options={"verify_signature": False}).get("cnf")


def test_a_token_is_bound_to_the_key(live: Live) -> None:
    """Token, answer, introspection and audit trail say which key; without a proof there is none."""
    key = DpopKey()
    token = bound_token(live, key)
    told = live.introspect(token, live.administration)
    (entry, *_) = live.audit(client_id="administration", topic="token.issued")

    assert confirmation(token) == told["cnf"] == {"jkt": key.confirmation.thumbprint}
    assert told["token_type"] == "DPoP"
    assert entry["detail"]["confirmation"]["thumbprint"] == key.confirmation.thumbprint
    assert confirmation(live.token()) is None
    assert live.introspect(live.token())["token_type"] == "Bearer"


def test_a_proof_is_good_once_on_all_workers(live: Live) -> None:
    """Of many requests with one proof, on connections of their own, one succeeds."""
    sent, answers = proof(live, DpopKey()), []
    for _ in range(12):
        with httpx.Client(base_url=live.service.url) as connection:
            answers.append(connection.post(TOKEN, auth=live.demo, data=FORM, headers=sent))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 11
    assert {answer.json()["error"] for answer in answers[1:]} == {"invalid_dpop_proof"}


@pytest.mark.parametrize(
    ("description", "proofs"),
    [
        ("no JWT", lambda _: ["x"]),
        ("another URL", lambda live: [proof(live, DpopKey(), INTROSPECT)["DPoP"]]),
        ("another method", lambda live: [proof(live, DpopKey(), method="GET")["DPoP"]]),
        ("two of them", lambda live: [proof(live, DpopKey())["DPoP"] for _ in range(2)]),
    ],
)
def test_a_wrong_proof_issues_nothing(live: Live, description: str, proofs: Any) -> None:
    """A request with a proof that proves nothing is refused, not answered with a bearer token."""
    headers = [("DPoP", one) for one in proofs(live)]
    answered = live.http.post(TOKEN, auth=live.demo, data=FORM, headers=headers)

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_dpop_proof")


def test_a_protected_endpoint_takes_it_with_a_proof(live: Live) -> None:
    """The scheme DPoP, a proof for this request and this token: each time a new one."""
    key = DpopKey()
    token = bound_token(live, key)
    headers = {
        "Authorization": f"DPoP {token}",
        **proof(live, key, ADMIN, method="GET", access_token=token),
    }
    first = live.http.get(ADMIN, headers=headers)
    again = live.http.get(ADMIN, headers=headers)

    assert first.status_code == 200
    assert (again.status_code, again.json()["error"]) == (401, "invalid_dpop_proof")
    assert again.headers["www-authenticate"].startswith('DPoP realm="grantledger"')


def _presented(live: Live, key: DpopKey, token: str) -> dict[str, dict[str, str]]:
    def proved(by: DpopKey = key, path: str = ADMIN, **more: Any) -> dict[str, str]:
        return proof(live, by, path, **{"method": "GET", "access_token": token, **more})

    return {
        "as a bearer token": {"Authorization": f"Bearer {token}"},
        "as a bearer token, with a proof": {"Authorization": f"Bearer {token}", **proved()},
        "without a proof": {"Authorization": f"DPoP {token}"},
        "with a proof of another key": {"Authorization": f"DPoP {token}", **proved(DpopKey())},
        "with a proof for another path": {
            "Authorization": f"DPoP {token}",
            **proved(path="/admin/clients"),
        },
        "with a proof for another method": {
            "Authorization": f"DPoP {token}",
            **proved(method="POST"),
        },
        "with a proof for no token": {
            "Authorization": f"DPoP {token}",
            **proved(access_token=None),
        },
        "with a proof for another token": {
            "Authorization": f"DPoP {token}",
            **proved(access_token=token + "x"),
        },
    }


def test_without_the_key_a_bound_token_is_worth_nothing(live: Live) -> None:
    """Whoever got hold of the token, and of proofs for other requests, gets in nowhere."""
    key = DpopKey()
    token = bound_token(live, key)
    refused = {
        how: live.http.get(ADMIN, headers=headers)
        for how, headers in _presented(live, key, token).items()
    }

    assert {how: answer.status_code for how, answer in refused.items()} == dict.fromkeys(
        refused, 401
    )
    for answer in refused.values():
        assert 'algs="ES256' in answer.headers["www-authenticate"]


def test_a_bearer_token_is_no_bound_one(live: Live) -> None:
    """A token that is bound to nothing is not taken by the scheme DPoP, whatever the proof."""
    key, token = DpopKey(), live.token(live.administration)
    headers = {
        "Authorization": f"DPoP {token}",
        **proof(live, key, ADMIN, method="GET", access_token=token),
    }

    assert live.http.get(ADMIN, headers=headers).status_code == 401


def test_a_client_may_be_held_to_proofs(live: Live) -> None:
    """A client that is registered for bound tokens gets no others."""
    auth = live.register("dpop-only", scopes=["mcp"], tokens={"dpop_bound": True})
    eventually(lambda: live.ask_token(auth).status_code == 400)
    without = live.ask_token(auth)
    with_proof = live.http.post(TOKEN, auth=auth, data=FORM, headers=proof(live, DpopKey()))

    assert without.json()["error"] == "invalid_dpop_proof"
    assert with_proof.json()["token_type"] == "DPoP"


def test_refresh_tokens_of_public_clients_are_bound(
    live: Live, alice: Person, app: WebClient
) -> None:
    """A copied refresh token is worth nothing without the key, and presenting it, current or
    retired, does not end the family of its owner.
    """
    key = app.key
    first = app.tokens_from(alice)
    second = app.refresh(first["refresh_token"]).json()
    thief = WebClient(live, app.client_id)
    refused = [thief.refresh(second["refresh_token"]), thief.refresh(first["refresh_token"])]
    thief.key = DpopKey()
    refused += [thief.refresh(second["refresh_token"]), thief.refresh(first["refresh_token"])]
    third = app.refresh(second["refresh_token"])

    assert [(answer.status_code, answer.json()["error"]) for answer in refused] == [
        (400, "invalid_grant")
    ] * 4
    assert key is not None
    assert third.json()["token_type"] == "DPoP"
    assert confirmation(third.json()["access_token"]) == key.confirmation.claim()


def test_confidential_clients_may_change_their_key(live: Live, alice: Person) -> None:
    """RFC 9449, Section 5: their refresh tokens are bound to the client, not to the key."""
    client = a_web_client(live, "dpop-shop")
    client.key = DpopKey()
    tokens = client.tokens_from(alice)
    client.key = other = DpopKey()
    refreshed = client.refresh(tokens["refresh_token"]).json()

    assert confirmation(refreshed["access_token"]) == other.confirmation.claim()


@pytest.mark.parametrize("pushed", [False, True])
def test_a_code_is_bound_to_its_key(
    live: Live, alice: Person, app: WebClient, *, pushed: bool
) -> None:
    """RFC 9449, Section 10: by `dpop_jkt`, or by the proof of a pushed request; whoever redeems
    the code proves that key, and a failed attempt leaves the code to its owner.
    """
    key = app.key
    assert key is not None
    if pushed:
        answered = app.post("/oauth/par", **app.parameters())
        page = alice.open(
            "/oauth/authorize",
            client_id=app.client_id,
            request_uri=answered.json()["request_uri"],
        )
        code = httpx.URL(page.headers["location"]).params["code"]
    else:
        code = app.code_from(alice, dpop_jkt=key.confirmation.thumbprint)
    thief = WebClient(live, app.client_id)
    thief.verifier, thief.key = app.verifier, DpopKey()
    refused = [thief.redeem(code)]
    thief.key = None
    refused.append(thief.redeem(code))
    redeemed = app.redeem(code)

    assert [answer.json()["error"] for answer in refused] == ["invalid_grant"] * 2
    assert redeemed.json()["token_type"] == "DPoP"


def test_a_pushed_request_names_one_key(app: WebClient) -> None:
    """RFC 9449, Section 10.1: `dpop_jkt` must be the key of the proof beside it."""
    other = DpopKey().confirmation.thumbprint
    answered = app.post("/oauth/par", **app.parameters(dpop_jkt=other))
    malformed = app.post("/oauth/par", **app.parameters(dpop_jkt="short"))

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_dpop_proof")
    assert malformed.status_code == 400


def test_an_authorization_request_with_half_a_thumbprint(alice: Person, app: WebClient) -> None:
    """A `dpop_jkt` that is none goes back to the client as its mistake."""
    page = alice.open("/oauth/authorize", **app.parameters(dpop_jkt="short"))

    assert page.headers["location"].startswith(CALLBACK)
    assert "error=invalid_request" in page.headers["location"]


def test_no_exchange_of_a_bound_token_without_its_key(live: Live) -> None:
    """A bound token is exchanged by who holds its key alone, and what it is exchanged for is bound
    to that key as well.
    """
    client = WebClient(
        live,
        *live.register(
            "dpop-agent",
            scopes=["mcp", "service"],
            grant_types=[
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ],
        ),
    )
    key = client.key = DpopKey()
    eventually(lambda: client.ask("client_credentials").status_code == 200)
    token = client.ask("client_credentials").json()["access_token"]

    def exchange() -> httpx.Response:
        return client.ask(
            "urn:ietf:params:oauth:grant-type:token-exchange",
            subject_token=token,
            subject_token_type="urn:ietf:params:oauth:token-type:access_token",
            scope="mcp",
        )

    held = exchange()
    client.key = DpopKey()
    other = exchange()
    client.key = None
    none = exchange()

    assert confirmation(held.json()["access_token"]) == key.confirmation.claim()
    assert [(one.status_code, one.json()["error"]) for one in (other, none)] == [
        (400, "invalid_request")
    ] * 2
    assert "bound to a key" in none.json()["error_description"]


def test_userinfo_takes_a_bound_token_with_its_proof(
    live: Live, alice: Person, app: WebClient
) -> None:
    """OpenID Connect's own endpoint is a protected endpoint like the others."""
    assert app.key is not None
    token = app.tokens_from(alice)["access_token"]
    headers = {
        "Authorization": f"DPoP {token}",
        **proof(live, app.key, "/oauth/userinfo", method="GET", access_token=token),
    }

    assert live.http.get("/oauth/userinfo", headers=headers).json()["sub"] == "dpop-alice"
    bearer = {"Authorization": f"Bearer {token}"}
    assert live.http.get("/oauth/userinfo", headers=bearer).status_code == 401


@pytest.mark.parametrize("path", [TOKEN, "/oauth/par", "/oauth/userinfo"])
def test_pages_of_other_origins_may_send_proofs(live: Live, path: str) -> None:
    """What a browser asks first is answered, and DPoP is among the headers that are let through."""
    asked = live.http.options(
        path,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "dpop",
        },
    )

    assert asked.status_code == 204
    assert "DPoP" in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-allow-origin"] == "*"


def test_metadata_says_so(live: Live) -> None:
    """Algorithms of proofs are told, for tokens and for our own protected endpoints (RFC 9728)."""
    server = live.http.get("/.well-known/oauth-authorization-server").json()
    url = live.http.get(ADMIN).headers["www-authenticate"].split('resource_metadata="')[1]
    resource = live.http.get(url.split('"')[0]).json()

    assert "ES256" in server["dpop_signing_alg_values_supported"]
    assert resource["resource"] == f"{server['issuer']}/management"
    assert resource["authorization_servers"] == [server["issuer"]]
    assert "clients:manage" in resource["scopes_supported"]
    assert "ES256" in resource["dpop_signing_alg_values_supported"]


def test_a_nonce_is_asked_for(generous: Live) -> None:
    """The first answer brings the nonce, and any worker takes it (RFC 9449, Section 8)."""
    key = DpopKey()
    asked = generous.http.post(
        TOKEN, auth=generous.administration, data=FORM, headers=proof(generous, key)
    )
    nonce = asked.headers["dpop-nonce"]
    answers = []
    for _ in range(6):
        headers = proof(generous, key, nonce=nonce)
        with httpx.Client(base_url=generous.service.url) as connection:
            answers.append(
                connection.post(TOKEN, auth=generous.administration, data=FORM, headers=headers)
            )

    assert (asked.status_code, asked.json()["error"]) == (400, "use_dpop_nonce")
    assert asked.headers["access-control-expose-headers"] == "DPoP-Nonce"
    assert [answer.status_code for answer in answers] == [200] * 6
    # Every worker hands out the same, unless the slot of time ended meanwhile.
    assert len({nonce, *(answer.headers["dpop-nonce"] for answer in answers)}) <= 2


def test_a_protected_endpoint_asks_for_a_nonce(generous: Live) -> None:
    """RFC 9449, Section 9: 401 with the challenge and the nonce; with it, the request is let in."""
    key = DpopKey()
    first = generous.http.post(
        TOKEN, auth=generous.administration, data=FORM, headers=proof(generous, key)
    )
    nonce = first.headers["dpop-nonce"]
    token = generous.http.post(
        TOKEN, auth=generous.administration, data=FORM, headers=proof(generous, key, nonce=nonce)
    ).json()["access_token"]

    def get(**more: Any) -> httpx.Response:
        shown = proof(generous, key, ADMIN, method="GET", access_token=token, **more)
        return generous.http.get(ADMIN, headers={"Authorization": f"DPoP {token}", **shown})

    asked = get()
    assert (asked.status_code, asked.json()["error"]) == (401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in asked.headers["www-authenticate"]
    assert get(nonce=asked.headers["dpop-nonce"]).status_code == 200


def test_who_proves_nothing_needs_no_nonce(generous: Live) -> None:
    """Bearer tokens are issued as ever, and the answer brings a nonce for the day that changes."""
    answered = generous.ask_token()

    assert answered.json()["token_type"] == "Bearer"
    assert answered.headers["dpop-nonce"]
