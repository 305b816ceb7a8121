"""Assertions and proofs over HTTP: what is refused for free leaves no row behind."""

from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from tests.application.dpop_key import DpopKey
from tests.application.people.upstream_provider import SigningKey
from tests.http.live import FORM, INTROSPECT, REVOKE, TOKEN, Live
from tests.http.person import WebClient, a_person, a_web_client
from tests.http.test_private_key_jwt import a_proof
from tests.waiting import eventually

PAR, DEVICE = "/oauth/par", "/oauth/device_authorization"
CODE, REFRESH = "authorization_code", "refresh_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
GARBAGE: list[tuple[str, dict[str, str]]] = [
    (TOKEN, {"grant_type": "nonsense"}),
    (TOKEN, {"grant_type": CODE}),
    (TOKEN, {"grant_type": CODE, "code": "glc_garbage", "code_verifier": "v" * 43}),
    (TOKEN, {"grant_type": REFRESH, "refresh_token": "glr_" + "A" * 76}),
    (TOKEN, {"grant_type": REFRESH, "refresh_token": "garbage", "scope": "nonsense"}),
    (TOKEN, {"grant_type": DEVICE_CODE, "device_code": "gld_garbage"}),
    (TOKEN, {"grant_type": EXCHANGE, "subject_token": "a.b.c", "subject_token_type": ACCESS}),
    (TOKEN, {"grant_type": BEARER, "assertion": "a.b.c"}),
    (TOKEN, {**FORM, "scope": "nonsense"}),
    (TOKEN, {**FORM, "scope": "admin"}),
    (TOKEN, {**FORM, "resource": "https://elsewhere.example"}),
    (PAR, {"response_type": "code", "redirect_uri": "https://elsewhere.example"}),
    (DEVICE, {"scope": "nonsense"}),
    (INTROSPECT, {"token": "garbage"}),
    (INTROSPECT, {"token": "glr_garbage"}),
    (REVOKE, {"token": "garbage"}),
    (REVOKE, {"token": "glr_garbage"}),
    (REVOKE, {}),
]


def used_names(live: Live) -> int:
    """Return how many names of assertions and proofs are kept."""
    with psycopg.connect(live.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM grantledger.one_time_values WHERE kind = ANY(%s)",
            [["DPoP proof", "client assertion"]],
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture(scope="module")
def key() -> SigningKey:
    """The key by which the machine authenticates."""
    return SigningKey.make("ES256")


@pytest.fixture(scope="module")
def machine(live: Live, key: SigningKey) -> str:
    """A client by a key that may use every grant."""
    name, _ = live.register(
        "once-agent",
        scopes=["mcp"],
        grant_types=["client_credentials", EXCHANGE, BEARER, DEVICE_CODE],
        authentication={"method": "private_key_jwt", "jwks": [key.published]},
    )

    def known() -> bool:
        with httpx.Client(base_url=live.service.url) as visitor:
            return visitor.post(TOKEN, data=a_proof(live, key, name)).status_code == 200

    eventually(lambda: all(known() for _ in range(12)))
    return name


@pytest.fixture(scope="module")
def app(live: Live) -> WebClient:
    """An application that anybody can pretend to be."""
    return a_web_client(live, "once-app", client_type="public")


@pytest.mark.parametrize(("path", "form"), GARBAGE)
def test_garbage_of_anybody_leaves_no_row(
    live: Live, app: WebClient, path: str, form: dict[str, str]
) -> None:
    """Whoever makes a key can make proofs without end; none is written for a request like this."""
    before = used_names(live)
    for _ in range(5):
        headers = {"DPoP": DpopKey().proof(f"{live.service.url}{path}", datetime.now(UTC))}
        data = {"client_id": app.client_id, **form}
        answered = live.http.post(path, data=data, headers=headers)
        assert answered.status_code < 500

    assert used_names(live) == before


@pytest.mark.parametrize(("path", "form"), GARBAGE)
def test_garbage_of_a_client_leaves_no_row(
    live: Live, machine: str, key: SigningKey, path: str, form: dict[str, str]
) -> None:
    """Nor its assertion: a resource server introspects whatever strangers send it."""
    before = used_names(live)
    for _ in range(3):
        proved = {**a_proof(live, key, machine), "grant_type": ""}
        data = {name: value for name, value in {**proved, **form}.items() if value}
        headers = {"DPoP": DpopKey().proof(f"{live.service.url}{path}", datetime.now(UTC))}
        answered = live.http.post(path, data=data, headers=headers)
        assert answered.status_code < 500

    assert used_names(live) == before


def test_an_assertion_is_good_once_at_every_endpoint(
    live: Live, machine: str, key: SigningKey
) -> None:
    """Where a request gets what it asks for, its assertion is used, and only there."""
    token = live.http.post(TOKEN, data=a_proof(live, key, machine)).json()["access_token"]
    requests: list[tuple[str, dict[str, str]]] = [
        (TOKEN, FORM),
        (INTROSPECT, {"token": token}),
        (DEVICE, {"scope": "mcp"}),
        (REVOKE, {"token": token}),
    ]
    for path, form in requests:
        proved = {**a_proof(live, key, machine), "grant_type": "", **form}
        data = {name: value for name, value in proved.items() if value}
        statuses = [live.http.post(path, data=data).status_code for _ in range(3)]

        assert (path, statuses) == (path, [200, 401, 401])


def test_a_proof_is_good_once_for_every_grant(live: Live, app: WebClient) -> None:
    """A replay of a whole request is refused for its proof, before anything moves."""
    person = a_person(live, "once-alice")
    app.key = DpopKey()
    code = app.code_from(person)
    url = f"{live.service.url}{TOKEN}"

    def twice(**form: str) -> list[Any]:
        headers = {"DPoP": app.key.proof(url, datetime.now(UTC))} if app.key else {}
        data = {"client_id": app.client_id, **form}
        return [live.http.post(TOKEN, data=data, headers=headers).json() for _ in range(2)]

    redeemed, replayed = twice(grant_type=CODE, code=code, code_verifier=app.verifier)
    refreshed, again = twice(grant_type=REFRESH, refresh_token=redeemed["refresh_token"])
    after = app.refresh(refreshed["refresh_token"])

    assert (replayed["error"], again["error"]) == ("invalid_dpop_proof",) * 2
    # Neither replay was taken for one of the code or the refresh token.
    assert after.status_code == 200


def test_a_token_without_the_scope_leaves_no_row(live: Live) -> None:
    """At a protected endpoint, what the token says of itself is judged before its proof is used."""
    key = DpopKey()
    proof = {"DPoP": key.proof(f"{live.service.url}{TOKEN}", datetime.now(UTC))}
    form = {**FORM, "scope": "audit:read"}
    answered = live.http.post(TOKEN, auth=live.administration, data=form, headers=proof).json()
    token, before = answered["access_token"], used_names(live)
    path = "/admin/keys"
    bound = {
        "Authorization": f"DPoP {token}",
        "DPoP": key.proof(
            f"{live.service.url}{path}", datetime.now(UTC), method="GET", access_token=token
        ),
    }
    refused = live.http.get(path, headers=bound)

    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert used_names(live) == before
