"""Introspection answers as JWTs (RFC 9701): signed for their reader, and good for nothing else."""

from typing import Any

import httpx
import jwt
import pytest

from api.signed_introspection import MEDIA_TYPE, is_asked_for
from tests.http.live import INTROSPECT, TOKEN, Live
from tests.waiting import eventually


def asked(live: Live, token: str, accept: str = MEDIA_TYPE) -> httpx.Response:
    """Ask about a token as the demo client."""
    return live.http.post(
        INTROSPECT, auth=live.demo, data={"token": token}, headers={"accept": accept}
    )


def read(live: Live, answer: httpx.Response) -> dict[str, Any]:
    """Return the claims, verified with the published keys."""
    keys = jwt.PyJWKSet.from_dict(live.http.get("/oauth/jwks.json").json())
    kid = jwt.get_unverified_header(answer.text)["kid"]
    claims: dict[str, Any] = jwt.decode(
        answer.text, keys[kid], algorithms=["ES256"], audience="demo", issuer=live.service.url
    )
    return claims


def test_the_answer_is_signed_for_its_reader(live: Live) -> None:
    """The JWT holds what the JSON would say, for this caller, and names its own type."""
    token = live.token()
    answer = asked(live, token)
    claims = read(live, answer)

    assert answer.headers["content-type"] == MEDIA_TYPE
    assert jwt.get_unverified_header(answer.text)["typ"] == "token-introspection+jwt"
    assert claims["token_introspection"] == live.introspect(token)
    # RFC 9701, Section 5: "sub" and "exp" are not for the top level.
    assert set(claims) == {"iss", "aud", "iat", "token_introspection"}


def test_an_inactive_token_is_no_more_than_that(live: Live) -> None:
    """Nothing else about it is signed either."""
    assert read(live, asked(live, "x.y.z"))["token_introspection"] == {"active": False}


def test_it_passes_for_no_token(live: Live) -> None:
    """Wherever a token or assertion of ours is taken, the signed answer is not."""
    signed = asked(live, live.token()).text
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    agent = live.register(
        "signed-agent", scopes=["mcp"], grant_types=["client_credentials", exchange]
    )
    eventually(lambda: all(live.ask_token(agent).status_code == 200 for _ in range(6)))
    kinds = [f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("access_token", "id_token")]
    assertion = {
        "grant_type": "client_credentials",
        "client_assertion": signed,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    page = live.http.get("/oauth/logout", params={"id_token_hint": signed, "client_id": "demo"})

    assert live.introspect(signed) == {"active": False}
    assert (
        live.http.get("/admin/keys", headers={"Authorization": f"Bearer {signed}"}).status_code
        == 401
    )
    for kind in kinds:
        form = {"grant_type": exchange, "subject_token": signed, "subject_token_type": kind}
        refused = live.http.post(TOKEN, auth=agent, data=form)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert live.http.post(TOKEN, data=assertion).status_code == 401
    assert page.status_code == 400


@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
        (MEDIA_TYPE, True),
        (MEDIA_TYPE.upper(), True),
        (f"application/json, {MEDIA_TYPE}", True),
        (f"application/json;q=0.5, {MEDIA_TYPE};q=0.9", True),
        (f"application/json;q=0.9, {MEDIA_TYPE};q=0.5", False),
        (f"{MEDIA_TYPE};q=0", False),
        (f"{MEDIA_TYPE};q=much", False),
        (f"{MEDIA_TYPE};q=inf", False),
        (f"{MEDIA_TYPE};q=nan", False),
        (f"{MEDIA_TYPE};q=2", False),
        (f"{MEDIA_TYPE};q=-1", False),
        (f"{MEDIA_TYPE};q=1_0", False),
        (f"{MEDIA_TYPE};q=0.0001", False),
        (f"{MEDIA_TYPE}; Q=1.000", True),
        (f"application/json;q=nan, {MEDIA_TYPE};q=0.1", True),
        (f"{MEDIA_TYPE};q=0.5, */*", True),
        (f";,;;{MEDIA_TYPE}", False),
        (f"{MEDIA_TYPE}x", False),
    ],
)
def test_who_asks_for_it(accept: str, *, signed: bool) -> None:
    """The media type has to be named, and JSON not be liked better."""
    assert is_asked_for(accept.encode()) is signed


def test_json_stays_the_answer(live: Live) -> None:
    """Whoever accepts anything gets JSON."""
    answer = asked(live, live.token(), "*/*")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["active"] is True


def test_refusals_stay_json(live: Live) -> None:
    """An error is no introspection answer."""
    answer = live.http.post(
        INTROSPECT, auth=("demo", "wrong"), data={"token": "x"}, headers={"accept": MEDIA_TYPE}
    )

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_list_on_several_lines_is_one_list(live: Live) -> None:
    """RFC 9110, Section 5.3: neither line hides the other."""
    both = [("accept", MEDIA_TYPE), ("accept", "application/json;q=0.5")]
    answers = [
        live.http.post(INTROSPECT, auth=live.demo, data={"token": "x"}, headers=headers)
        for headers in (both, both[::-1])
    ]

    assert [answer.headers["content-type"] for answer in answers] == [MEDIA_TYPE] * 2
