"""Numbers, moments and ids that strangers write: a refusal for each, never a failure of ours."""

from collections.abc import Iterator

import httpx
import pytest

from tests.http.live import TOKEN, Live
from tests.http.person import a_web_client, challenge

LONG = "0" * 5000
"""More digits than Python makes a number of."""
MOMENTS = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "-99999d", LONG, "\u0661")
NUMBERS = (LONG, "9" * 30, "-1", "1e400", "\u0661", "0x10", "1_0", " 1", "")


@pytest.fixture(scope="module")
def native(live: Live) -> str:
    """A client on people's machines, whose port may be any."""
    client = a_web_client(
        live,
        "odd-native",
        client_type="public",
        grant_types=["authorization_code"],
        redirects={"redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback"]},
    )
    return client.client_id


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["65536", "99999", "0", "00000", "123456", LONG])
@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_redirect_to_a_port_that_is_none(
    live: Live, native: str, host: str, port: str, mode: str
) -> None:
    """It is a redirect URI that is not registered, told on a page."""
    with httpx.Client(base_url=live.service.url, timeout=20) as browser:
        answered = browser.get(
            "/oauth/authorize",
            params={
                "client_id": native,
                "redirect_uri": f"http://{host}:{port}/callback",
                "response_type": "code",
                "response_mode": mode,
                "scope": "openid",
                "code_challenge": challenge("v" * 43),
                "code_challenge_method": "S256",
            },
        )

    assert answered.status_code == 400
    assert "location" not in answered.headers


def requests() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield requests of an auditor, each with something odd in it."""
    for moment in MOMENTS:
        yield "/audit/events", {"since": moment}
        yield "/audit/events", {"until": moment}
        yield "/reports/live-tokens", {"as_of": moment}
        yield "/audit/clients/demo", {"as_of": moment}
    for number in NUMBERS:
        yield "/audit/events", {"after": number}
        yield "/audit/events", {"limit": number}
        yield "/audit/events/follow", {"after": number}
        yield "/reports/dormant-clients", {"days": number}
    for name in (LONG, "\u0661" * 32, "{}", "urn:uuid:"):
        yield "/audit/events", {"jti": name}


@pytest.mark.parametrize(("path", "query"), list(requests()))
def test_odd_queries_are_refused(live: Live, path: str, query: dict[str, str]) -> None:
    """Or answered, where something can be meant by it; never with a 5xx."""
    with live.http.stream("GET", path, headers=live.bearer(), params=query) as answered:
        assert answered.status_code < 500


@pytest.mark.parametrize("event_id", [LONG, "9" * 19, "-1", "x"])
def test_odd_positions_to_follow_from(live: Live, event_id: str) -> None:
    """Last-Event-ID comes from any client."""
    headers = {**live.bearer(), "Last-Event-ID": event_id}
    answered = live.http.get("/audit/events/follow", headers=headers)

    assert answered.status_code == 400


@pytest.mark.parametrize("value", [LONG, "9" * 300, "-1", "\u0661", "1.5"])
def test_odd_ages_of_a_login(live: Live, native: str, value: str) -> None:
    """`max_age` is told to the client as wrong."""
    with httpx.Client(base_url=live.service.url, timeout=20) as browser:
        answered = browser.get(
            "/oauth/authorize",
            params={
                "client_id": native,
                "redirect_uri": "http://127.0.0.1:65535/callback",
                "response_type": "code",
                "scope": "openid",
                "code_challenge": challenge("v" * 43),
                "code_challenge_method": "S256",
                "max_age": value,
            },
        )

    assert answered.status_code == 303
    assert "error=invalid_request" in answered.headers["location"]


@pytest.mark.parametrize("length", ["9" * 30, LONG])
def test_odd_lengths_of_a_body(live: Live, length: str) -> None:
    """Of a form and of JSON: the announcement is not made a number."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": length}
    for path in (TOKEN, "/oauth/register"):
        try:
            status = live.http.post(path, headers=headers, content=b"").status_code
        except httpx.HTTPError:
            continue  # the server itself closed the connection
        assert status < 500
