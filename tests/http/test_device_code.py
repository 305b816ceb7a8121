"""A device gets tokens once a person typed its code and said yes (RFC 8628)."""

import httpx
import pytest

from tests.http.live import Live
from tests.http.person import Person, WebClient, a_person, a_web_client

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def viewer(live: Live) -> Person:
    """A person with a device."""
    return a_person(live, "viewer")


@pytest.fixture(scope="module")
def television(live: Live) -> WebClient:
    """A public client without a browser."""
    return a_web_client(
        live,
        "television",
        client_type="public",
        grant_types=[DEVICE_CODE, "refresh_token"],
        redirects={},
    )


def begin(live: Live, device: WebClient) -> dict[str, str]:
    """Return what the device is given."""
    response = live.http.post(
        "/oauth/device_authorization",
        data={"client_id": device.client_id, "scope": "openid offline_access user"},
    )
    assert response.status_code == 200, response.text
    given: dict[str, str] = response.json()
    return given


def decide(person: Person, user_code: str, decision: str) -> httpx.Response:
    """Type the code of a device and decide."""
    page = person.submit(person.open("/device"), "/device", user_code=user_code)
    if 'action="/login"' in page.text:
        page = person.log_in(page)
    return person.submit(page, "/device/confirm", decision=decision)


def test_from_user_code_to_tokens(live: Live, viewer: Person, television: WebClient) -> None:
    """A device polls, a person types its code however it likes, and the device has tokens, once."""
    given = begin(live, television)
    early = television.ask(DEVICE_CODE, device_code=given["device_code"])
    hasty = television.ask(DEVICE_CODE, device_code=given["device_code"])
    done = decide(viewer, given["user_code"].lower().replace("-", " "), "allow")
    tokens = television.ask(DEVICE_CODE, device_code=given["device_code"])
    again = television.ask(DEVICE_CODE, device_code=given["device_code"])

    assert early.json()["error"] == "authorization_pending"
    assert hasty.json()["error"] == "slow_down"
    assert "Device connected" in done.text
    assert tokens.json().keys() >= {"access_token", "refresh_token", "id_token"}
    assert again.json()["error"] == "invalid_grant"
    assert television.refresh(tokens.json()["refresh_token"]).status_code == 200


def test_a_device_that_was_denied(live: Live, viewer: Person, television: WebClient) -> None:
    """A no reaches the device as access_denied, and the code cannot be used again."""
    given = begin(live, television)
    decide(viewer, given["user_code"], "deny")
    told = television.ask(DEVICE_CODE, device_code=given["device_code"])
    late = viewer.submit(viewer.open("/device"), "/device", user_code=given["user_code"])

    assert told.json()["error"] == "access_denied"
    assert late.status_code == 404


def test_a_device_has_a_session_of_its_own(
    live: Live, viewer: Person, television: WebClient
) -> None:
    """Logging out of the browser that approved leaves the device connected."""
    given = begin(live, television)
    decide(viewer, given["user_code"], "allow")
    tokens = television.ask(DEVICE_CODE, device_code=given["device_code"]).json()
    viewer.submit(viewer.open("/account"), "/account/logout")

    assert television.refresh(tokens["refresh_token"]).status_code == 200


def test_another_client_cannot_poll(live: Live, television: WebClient) -> None:
    """A device code is its client's alone."""
    other = a_web_client(live, "other-device", grant_types=[DEVICE_CODE], redirects={})
    given = begin(live, television)

    assert other.ask(DEVICE_CODE, device_code=given["device_code"]).json()["error"] == (
        "invalid_grant"
    )


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "openid"}, "unauthorized_client"),
        ({"scope": "no-such-scope"}, "unauthorized_client"),
    ],
)
def test_only_registered_clients_begin(live: Live, form: dict[str, str], error: str) -> None:
    """A client without the grant type begins nothing."""
    response = live.http.post("/oauth/device_authorization", auth=live.demo, data=form)

    assert (response.status_code, response.json()["error"]) == (400, error)


def test_guessing_is_throttled(live: Live, viewer: Person) -> None:
    """Wrong user codes are free five times, then they have to wait."""
    statuses = [
        viewer.submit(viewer.open("/device"), "/device", user_code=f"BBBB-BBB{letter}").status_code
        for letter in "BCDFGHJK"
    ]

    assert statuses[0] == 404
    assert statuses[-2:] == [429, 429]
