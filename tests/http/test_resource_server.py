"""The resource-server helper in an application of somebody else, with nothing but our issuer."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.resource_server import MemoryNames
from application.single_use import OUTLIVES
from tests.application.dpop_key import DpopKey
from tests.builders import NOON
from tests.cli.running_service import clean_environment, free_port
from tests.http.live import FORM, TOKEN, Live
from tests.waiting import eventually

PATH = "/reports/latest"


@pytest.fixture(scope="module")
def reports(live: Live) -> Iterator[httpx.Client]:
    """The other application, served for real."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["granian", "--interface", "asgi", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "tests.http.reports_service:app"],
        env=clean_environment(REPORTS_URL=url, REPORTS_ISSUER=live.service.url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=url, timeout=20) as http:
            eventually(lambda: _answers(http), seconds=30)
            yield http
    finally:
        process.terminate()
        process.wait(20)


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get(PATH).status_code == 401
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def client(live: Live, reports: httpx.Client) -> tuple[str, str]:
    """A client whose tokens are for the reports."""
    url = str(reports.base_url)
    auth = live.register(
        "reports-reader",
        scopes=["service", "mcp"],
        audiences={"allowed": [url, "https://other.example"], "default": [url]},
    )
    eventually(lambda: live.ask_token(auth).status_code == 200)
    return auth


def bearer(token: str) -> dict[str, str]:
    """Return the header of a bearer token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_token_with_the_scope_opens_it(
    live: Live, reports: httpx.Client, client: tuple[str, str]
) -> None:
    """Keys are found by the issuer's metadata; the handler knows who asks."""
    answered = reports.get(PATH, headers=bearer(live.token(client)))

    assert (answered.status_code, answered.json()) == (200, {"for": "reports-reader"})


def test_what_is_refused(live: Live, reports: httpx.Client, client: tuple[str, str]) -> None:
    """No token, none of the issuer, for another audience, without the scope, changed: refused."""
    good = live.token(client)
    head, body, signature = good.split(".")
    refused: dict[str, Any] = {
        "no token": {},
        "no JWT": bearer("token"),
        "in the query": {},
        "another audience": bearer(live.token(client, audience="https://other.example")),
        "without the scope": bearer(live.token(client, scope="mcp")),
        "another signature": bearer(f"{head}.{body}.{signature[::-1]}"),
        "by Basic": {"Authorization": "Basic Zm9vOmJhcg=="},
        "twice": [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")],
        "as DPoP": {"Authorization": f"DPoP {good}"},
    }
    found = {
        how: reports.get(
            PATH,
            headers=headers,
            params={"access_token": good} if how == "in the query" else None,
        )
        for how, headers in refused.items()
    }

    statuses = {how: answer.status_code for how, answer in found.items()}
    assert statuses == {**dict.fromkeys(refused, 401), "without the scope": 403}
    assert found["no token"].headers["www-authenticate"].startswith("Bearer realm=")
    assert found["without the scope"].json()["error"] == "insufficient_scope"
    assert found["no JWT"].json()["error"] == "invalid_token"


def test_a_bound_token_needs_its_proof(
    live: Live, reports: httpx.Client, client: tuple[str, str]
) -> None:
    """The proof is for this resource's own URL, and good once."""
    key = DpopKey()
    proof = key.proof(f"{live.service.url}{TOKEN}", datetime.now(UTC))
    token = live.http.post(TOKEN, auth=client, data=FORM, headers={"DPoP": proof}).json()[
        "access_token"
    ]
    url = f"{str(reports.base_url).rstrip('/')}{PATH}"
    shown = key.proof(url, datetime.now(UTC), method="GET", access_token=token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": shown}
    answers = [reports.get(PATH, headers=headers) for _ in range(2)]
    as_bearer = reports.get(PATH, headers=bearer(token))

    assert [answer.status_code for answer in (*answers, as_bearer)] == [200, 401, 401]
    assert answers[1].json()["error"] == "invalid_dpop_proof"


def test_an_expired_token_is_refused(live: Live, reports: httpx.Client) -> None:
    """`exp` counts, to the second."""
    url = str(reports.base_url)
    auth = live.register(
        "reports-hasty",
        scopes=["service"],
        audiences={"allowed": [url], "default": [url]},
        tokens={"lifetime": 2},
    )
    eventually(lambda: live.ask_token(auth).status_code == 200)
    token = live.token(auth)
    first = reports.get(PATH, headers=bearer(token)).status_code
    began = time.monotonic()
    eventually(lambda: reports.get(PATH, headers=bearer(token)).status_code == 401)

    assert first == 200
    assert time.monotonic() - began < 5


async def test_names_are_forgotten_when_they_expire() -> None:
    """A name counts once until it expires; then its memory is given back."""
    names, minute = MemoryNames(), timedelta(minutes=1)
    first = [
        await names.use("k", b"1", expires_at=NOON + minute, now=NOON),
        await names.use("k", b"1", expires_at=NOON + minute, now=NOON),
        await names.use("k", b"2", expires_at=NOON + minute, now=NOON),
    ]
    later = await names.use("k", b"1", expires_at=NOON + 9 * minute, now=NOON + minute + OUTLIVES)

    assert first == [True, False, True]
    assert later is True
    assert len(names) == 1
