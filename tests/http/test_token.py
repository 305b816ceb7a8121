"""POST /oauth/token: what a good request gets, and what each bad one is told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest

from tests.http.live import FORM, TOKEN, Live
from tests.waiting import eventually

_FORM_TYPE = "application/x-www-form-urlencoded"
_ALLOWED = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*")


def test_a_token_is_answered_as_rfc_6749_section_5_1_says(live: Live) -> None:
    """Type, lifetime as a number, the scope always, and nothing that a cache may keep."""
    response = live.ask_token()

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    answer = response.json()
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600
    assert answer["scope"] == "user service a2a mcp"


def test_the_token_is_a_jwt_access_token(live: Live) -> None:
    """RFC 9068, Section 2: the type, and every claim that a resource server relies on."""
    token = live.token(scope="mcp service")
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert header["typ"] == "at+jwt"
    assert header["alg"] == "ES256"
    assert claims["iss"] == claims["aud"] == live.service.url
    assert claims["sub"] == "owner"
    assert claims["client_id"] == "demo"
    assert claims["scope"] == "service mcp"
    assert claims["exp"] - claims["iat"] == 3600
    assert re.fullmatch(r"sess_[0-9a-f]{32}", claims["sid"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7.*", claims["jti"])


def test_the_secret_may_travel_in_the_body(live: Live) -> None:
    """client_secret_post works like client_secret_basic."""
    client_id, secret = live.demo
    form = {**FORM, "client_id": client_id, "client_secret": secret}
    response = live.http.post(TOKEN, data=form)

    assert response.status_code == 200


def test_both_targets_of_a_request_become_the_audience(live: Live) -> None:
    """`audience` and `resource` may be repeated and both land in `aud`."""
    audiences = {"allowed": ["hook", "https://api.example"], "default": []}
    client = live.register("two-targets", scopes=["hook:track", "mcp"], audiences=audiences)
    response = live.http.post(
        TOKEN,
        auth=client,
        data={**FORM, "audience": ["hook"], "resource": ["https://api.example"]},
    )
    claims = jwt.decode(response.json()["access_token"], options={"verify_signature": False})

    assert claims["aud"] == ["hook", "https://api.example"]
    assert claims["scope"] == "mcp hook:track"


@dataclass(frozen=True)
class Refusal:
    """A request, what is wrong with it, and the answer it must get."""

    name: str
    error: str
    body: str = "grant_type=client_credentials"
    status: int = 400
    headers: Mapping[str, str] = field(default_factory=dict)
    client: str = "demo"
    says: str = ""


_BOTH = "&client_id=demo&client_secret=x"
REFUSALS = (
    Refusal("no body", "invalid_request", "", says="grant_type is required"),
    Refusal("no grant type", "invalid_request", "scope=mcp", says="grant_type is required"),
    Refusal("empty grant type", "invalid_request", "grant_type=", says="grant_type is empty"),
    Refusal("empty scope", "invalid_request", "grant_type=client_credentials&scope="),
    Refusal("repeated", "invalid_request", "grant_type=a&grant_type=b", says="repeated"),
    Refusal("repeated unknown", "invalid_request", "grant_type=a&x=1&x=2", says="repeated"),
    Refusal("bad escape", "invalid_request", "grant_type=%zz"),
    Refusal("cut escape", "invalid_request", "grant_type=a%2"),
    Refusal("not utf-8", "invalid_request", "grant_type=%ff%fe"),
    Refusal("too many", "invalid_request", "&".join(f"p{n}=1" for n in range(80))),
    Refusal("json", "invalid_request", "{}", headers={"content-type": "application/json"}),
    Refusal("no type", "invalid_request", headers={"content-type": ""}),
    Refusal(
        "other charset",
        "invalid_request",
        headers={"content-type": f"{_FORM_TYPE}; charset=latin-1"},
    ),
    Refusal("too large", "invalid_request", "x=" + "a" * 70_000, status=413),
    Refusal("two methods", "invalid_request", f"grant_type=client_credentials{_BOTH}"),
    Refusal("other id in the body", "invalid_request", "grant_type=a&client_id=other"),
    Refusal("unknown grant type", "unsupported_grant_type", "grant_type=password"),
    Refusal("unknown scope", "invalid_scope", "grant_type=client_credentials&scope=nope"),
    Refusal(
        "scope of others",
        "invalid_scope",
        "grant_type=client_credentials&scope=clients:manage",
        says="not in the client's grant: clients:manage",
    ),
    Refusal("malformed scope", "invalid_scope", "grant_type=client_credentials&scope=a%22b"),
    Refusal("two spaces", "invalid_scope", "grant_type=client_credentials&scope=mcp++a2a"),
    Refusal("long scope", "invalid_scope", f"grant_type=client_credentials&scope={'a' * 3000}"),
    Refusal(
        "target not allowed", "invalid_target", "grant_type=client_credentials&audience=elsewhere"
    ),
    Refusal(
        "fragment",
        "invalid_target",
        "grant_type=client_credentials&resource=https://api.example/%23x",
    ),
    Refusal("no client", "invalid_client", status=401, client=""),
    Refusal("unknown client", "invalid_client", status=401, client="nobody:x"),
    Refusal("wrong secret", "invalid_client", status=401, client="demo:x"),
    Refusal("id without a secret", "invalid_client", "grant_type=a&client_id=demo", 401, client=""),
    Refusal(
        "bearer", "invalid_client", status=401, headers={"authorization": "Bearer x"}, client=""
    ),
    Refusal(
        "not base64", "invalid_client", status=401, headers={"authorization": "Basic %"}, client=""
    ),
    Refusal(
        "no colon", "invalid_client", status=401, headers={"authorization": "Basic eA=="}, client=""
    ),
    Refusal(
        "binary", "invalid_client", status=401, headers={"authorization": "Basic /zr/"}, client=""
    ),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_a_bad_request_gets_a_clear_oauth_error(live: Live, refusal: Refusal) -> None:
    """Each refusal has its code and status, in the form of RFC 6749, Section 5.2."""
    response = live.http.post(
        TOKEN,
        content=refusal.body,
        headers={"content-type": _FORM_TYPE, **refusal.headers},
        **_authentication(live, refusal.client),
    )

    assert response.status_code == refusal.status, response.text
    answer = response.json()
    assert answer["error"] == refusal.error
    assert refusal.says in answer["error_description"]
    assert _ALLOWED.fullmatch(answer["error_description"])
    assert answer["error_uri"] == f"{live.service.url}/errors#{refusal.error}"
    assert answer["request_id"] == response.headers["x-request-id"]
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) == (refusal.status == 401)


def _authentication(live: Live, client: str) -> dict[str, Any]:
    if client == "demo":
        return {"auth": live.demo}
    return {"auth": tuple(client.split(":"))} if client else {}


def test_only_post_is_taken(live: Live) -> None:
    """RFC 6749, Section 3.2: the client MUST use POST at the token endpoint."""
    for method in ("GET", "PUT", "DELETE"):
        response = live.http.request(method, TOKEN)

        assert response.status_code == 405
        assert response.headers["allow"] == "POST"


def test_two_authorization_headers_are_refused(live: Live) -> None:
    """Otherwise a proxy and we could read different ones."""
    headers = [("authorization", "Basic eDp5"), ("authorization", "Basic eDp6")]
    response = live.http.post(TOKEN, headers=headers, data=FORM)

    assert response.status_code == 400
    assert "authorization" in response.json()["error_description"]


def test_a_body_without_an_announced_length_is_bounded_too(live: Live) -> None:
    """A chunked body is cut off at the same 64 KiB."""
    response = live.http.post(
        TOKEN,
        content=(b"a" * 8192 for _ in range(10)),
        headers={"content-type": _FORM_TYPE},
        auth=live.demo,
    )

    assert response.status_code == 413
    # What is left of the body is not read: the next request goes over another connection.
    assert response.headers["connection"] == "close"


def test_causes_that_could_be_probed_look_the_same(live: Live) -> None:
    """Unknown, wrong secret, disabled, owner inactive: one text, told apart in the record only."""
    disabled = live.register("disabled-one", scopes=["mcp"])
    live.http.patch(
        "/admin/clients/disabled-one", headers=live.bearer(), json={"enabled": False}
    ).raise_for_status()
    live.http.post(
        "/admin/principals", headers=live.bearer(), json={"subject": "gone", "roles": []}
    ).raise_for_status()
    orphan = live.register("orphan", scopes=["mcp"], owner="gone")
    live.http.post("/admin/principals/gone/deactivate", headers=live.bearer()).raise_for_status()
    answers = [
        _told_apart_by_nothing(live, client)
        for client in (("nobody", "x"), ("demo", "x"), disabled, orphan)
    ]
    true_reasons = {"unknown client", "wrong secret", "client disabled", "owner deactivated: gone"}

    assert len(set(answers)) == 1
    eventually(lambda: true_reasons <= _recorded_reasons(live))


def _recorded_reasons(live: Live) -> set[str]:
    return {entry["reason"] for entry in live.audit(topic="grant.denied")}


def _told_apart_by_nothing(live: Live, client: tuple[str, str]) -> tuple[Any, ...]:
    # Both workers know of a change within a second; a refusal before that would be a 200.
    eventually(lambda: live.ask_token(client).status_code == 401)
    response = live.ask_token(client)
    answer = response.json()
    del answer["request_id"]
    varying = {"x-request-id", "date"}
    headers = tuple((k, v) for k, v in response.headers.items() if k not in varying)
    return response.status_code, headers, tuple(answer.items())
