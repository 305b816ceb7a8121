"""What clients call for people, and whom these endpoints refuse."""

import httpx
import pytest

from tests.http.live import Live
from tests.http.person import CALLBACK, Person, WebClient, a_person, a_web_client

PAR = "/oauth/par"
USERINFO = "/oauth/userinfo"


@pytest.fixture(scope="module")
def reader(live: Live) -> Person:
    """Somebody who logs in."""
    return a_person(live, "endpoint-reader")


@pytest.fixture(scope="module")
def kiosk(live: Live) -> WebClient:
    """A client that pushes its requests."""
    return a_web_client(live, "kiosk")


def push(live: Live, client: WebClient, **changes: str | None) -> httpx.Response:
    """Push the client's request with `changes`; None leaves a parameter out."""
    form = client.parameters(**changes)
    return live.http.post(PAR, auth=(client.client_id, client.secret), data=form)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"request_uri": "urn:x"}, "invalid_request", id="a pushed reference"),
        pytest.param({"redirect_uri": CALLBACK + "2"}, "invalid_request", id="redirect URI"),
        pytest.param({"scope": "nonsense"}, "invalid_scope", id="unknown scope"),
        pytest.param({"code_challenge": None}, "invalid_request", id="no PKCE"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain PKCE"),
        pytest.param(
            {"response_type": "token"}, "unsupported_response_type", id="implicit response"
        ),
        pytest.param({"resource": "not a URI"}, "invalid_target", id="resource"),
        pytest.param({"max_age": "0" * 12 + "9" * 5000}, "invalid_request", id="endless max_age"),
    ],
)
def test_what_cannot_be_pushed(
    live: Live, kiosk: WebClient, changes: dict[str, str | None], error: str
) -> None:
    """A request is checked when it is pushed: the client learns at once, and not the person."""
    refused = push(live, kiosk, **changes)

    assert (refused.status_code, refused.json()["error"]) == (400, error)


def test_only_clients_push(live: Live, kiosk: WebClient) -> None:
    """Without the client's secret nothing is pushed in its name."""
    form = kiosk.parameters()
    bare = live.http.post(PAR, data=form)
    wrong = live.http.post(PAR, auth=(kiosk.client_id, "wrong"), data=form)

    assert [one.status_code for one in (bare, wrong)] == [401, 401]
    assert {one.json()["error"] for one in (bare, wrong)} == {"invalid_client"}


def test_a_reference_is_its_clients(live: Live, reader: Person, kiosk: WebClient) -> None:
    """Another client cannot use what this one pushed, nor is an invented reference taken; and none
    of that uses it up.
    """
    other = a_web_client(live, "kiosk-next-door")
    reference = push(live, kiosk).json()["request_uri"]
    pages = [
        reader.open("/oauth/authorize", client_id=client_id, request_uri=wrong)
        for client_id, wrong in (
            (other.client_id, reference),
            (kiosk.client_id, reference[:-4] + "AAAA"),
            (kiosk.client_id, "https://evil.example/request"),
        )
    ]

    assert [page.status_code for page in pages] == [400, 400, 400]
    assert all("request_uri is unknown" in page.text for page in pages)
    own = reader.open("/oauth/authorize", client_id=kiosk.client_id, request_uri=reference)
    assert own.status_code == 200


def test_whom_userinfo_refuses(live: Live, reader: Person, kiosk: WebClient) -> None:
    """A machine's token and one without openid are told what they lack; no token, 401."""
    no_openid = kiosk.tokens_from(reader, scope="user", nonce=None)["access_token"]
    machine = live.token()
    answers = [_userinfo(live, token) for token in (no_openid, machine)]
    forged = _userinfo(live, no_openid[:-6] + "AAAAAA")
    bare = live.http.get(USERINFO)

    assert [one.status_code for one in answers] == [403, 403]
    assert all('error="insufficient_scope"' in one.headers["www-authenticate"] for one in answers)
    assert (forged.status_code, bare.status_code) == (401, 401)
    assert 'error="invalid_token"' in forged.headers["www-authenticate"]
    assert "error" not in bare.headers["www-authenticate"]


def _userinfo(live: Live, token: str) -> httpx.Response:
    return live.http.get(USERINFO, headers={"Authorization": f"Bearer {token}"})
