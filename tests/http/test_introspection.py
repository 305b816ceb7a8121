"""POST /oauth/introspect and /oauth/revoke over HTTP, on two workers."""

import base64
import json
from typing import Any

import pytest

from tests.http.live import INTROSPECT, REVOKE, Live
from tests.waiting import eventually

INACTIVE = {"active": False}


def test_a_client_sees_its_own_token(live: Live) -> None:
    """RFC 7662, Section 2.2: active, with the claims of the token."""
    answer = live.introspect(live.token(scope="mcp"))

    assert answer["active"] is True
    assert answer["client_id"] == "demo"
    assert answer["scope"] == "mcp"
    assert answer["sub"] == "owner"
    assert answer["token_type"] == "Bearer"


def test_a_resource_server_sees_the_tokens_it_is_an_audience_of(live: Live) -> None:
    """A stranger learns nothing; whoever serves the audience is told."""
    audiences = {"allowed": ["https://orders.example"], "default": ["https://orders.example"]}
    buyer = live.register("buyer", scopes=["service"], audiences=audiences)
    stranger = live.register("stranger", scopes=["service"])
    orders = live.register("orders", audiences={"serves": ["https://orders.example"]})
    eventually(lambda: live.ask_token(buyer).status_code == 200)
    token = live.token(buyer)

    eventually(lambda: live.introspect(token, orders)["active"] is True)
    assert live.introspect(token, stranger) == INACTIVE
    assert live.introspect(token, live.demo) == INACTIVE


def test_a_revocation_is_seen_by_the_next_introspection_on_every_worker(live: Live) -> None:
    """Acknowledged means void everywhere: never a yes afterwards, whoever is asked."""
    for _ in range(10):
        token = live.token()
        assert live.introspect(token)["active"] is True
        revoked = live.http.post(REVOKE, auth=live.demo, data={"token": token})
        answers = [live.introspect(token) for _ in range(6)]

        assert revoked.status_code == 200
        assert revoked.content == b""
        assert answers == [INACTIVE] * 6


def test_revoking_twice_and_with_a_wrong_hint_is_fine(live: Live) -> None:
    """RFC 7009, Section 2.2: an invalid token is no error; the hint is only a hint."""
    token = live.token()
    form = {"token": token, "token_type_hint": "refresh_token"}
    statuses = [live.http.post(REVOKE, auth=live.demo, data=form).status_code for _ in range(3)]
    jti = _claims(token)["jti"]
    eventually(live.projected)
    history = live.http.get(f"/audit/tokens/{jti}", headers=live.bearer()).json()["entries"]

    assert statuses == [200, 200, 200]
    assert [entry["topic"] for entry in history] == ["token.issued", "token.revoked"]


def test_only_the_clients_own_tokens_can_be_revoked(live: Live) -> None:
    """RFC 7009, Section 2.1: somebody else's token is refused, and stays good."""
    token = live.token()
    refused = live.http.post(REVOKE, auth=live.administration, data={"token": token})

    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"
    assert live.introspect(token)["active"] is True


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


def _with_claims(token: str, **changed: Any) -> str:
    header, _, signature = token.split(".")
    payload = json.dumps({**_claims(token), **changed}).encode()
    return f"{header}.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.{signature}"


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: "garbage",
        lambda _: "a.b.c",
        lambda token: token[:-4],
        lambda token: f"{token}x",
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: _with_claims(token, scope="admin"),
        lambda _: "x" * 40_000,
        lambda _: "\u00e4\u2028",
    ],
    ids=["garbage", "dots", "cut", "longer", "unsigned", "claims changed", "oversized", "unicode"],
)
def test_what_is_not_our_token_is_inactive_and_nothing_to_revoke(live: Live, forge: Any) -> None:
    """No forgery is active, none is told apart, and none is an error to revoke."""
    forged = forge(live.token())
    revoked = live.http.post(REVOKE, auth=live.demo, data={"token": forged})

    assert live.introspect(forged) == INACTIVE
    assert revoked.status_code == 200


def test_an_expired_token_is_inactive(live: Live) -> None:
    """`exp` ends a token without any act."""
    brief = live.register("brief", scopes=["service"], tokens={"lifetime": 1})
    eventually(lambda: live.ask_token(brief).status_code == 200)
    token = live.token(brief)

    eventually(lambda: live.introspect(token, brief) == INACTIVE)


def test_tokens_of_a_disabled_client_are_inactive(live: Live) -> None:
    """A disabled client's tokens stop within a second on every worker."""
    client = live.register("to-disable", scopes=["service"])
    reader = live.register("to-disable-reader", audiences={"serves": [live.service.url]})
    eventually(lambda: live.ask_token(client).status_code == 200)
    token = live.token(client)
    eventually(lambda: live.introspect(token, reader)["active"] is True)
    disabled = live.http.patch(
        "/admin/clients/to-disable", headers=live.bearer(), json={"enabled": False}
    )

    assert disabled.status_code == 200
    eventually(
        lambda: [live.introspect(token, reader) for _ in range(4)] == [INACTIVE] * 4, seconds=1.5
    )


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_strangers_are_refused(live: Live, path: str) -> None:
    """Both endpoints authenticate the caller, and name a missing token."""
    nobody = live.http.post(path, data={"token": "x"})
    wrong = live.http.post(path, auth=("demo", "x"), data={"token": "x"})
    nothing = live.http.post(path, auth=live.demo, data={"other": "x"})

    assert nobody.status_code == wrong.status_code == 401
    assert nothing.status_code == 400
    assert nothing.json()["error_description"] == "token is required"


def test_a_public_client_may_not_introspect(live: Live) -> None:
    """RFC 7662, Section 2.1: the caller has to prove who it is, or tokens could be scanned for."""
    live.register("public-one", client_type="public", grant_types=[])
    form = {"token": "x", "client_id": "public-one"}
    eventually(lambda: live.http.post(INTROSPECT, data=form).status_code != 401)
    response = live.http.post(INTROSPECT, data=form)

    assert response.status_code == 400
    assert response.json()["error"] == "unauthorized_client"
