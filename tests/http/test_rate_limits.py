"""Costly endpoints are limited by address and by client, over real HTTP and two workers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.running_service import running_service
from tests.http.live import FORM, TOKEN, Live
from tests.http.person import CALLBACK, Person, WebClient, a_person, a_web_client, hidden_fields
from tests.postgres import Postgres
from tests.waiting import eventually

APP = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
PAR, DEVICE, AUTHORIZE = "/oauth/par", "/oauth/device_authorization", "/oauth/authorize"
PER_CLIENT, FAILURES, DEVICES, PAGES, LOGINS, REGISTRATIONS = 7, 200, 5, 3, 2, 3
UPDATES = 2
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_PREFIX = "GRANTLEDGER_RATE_LIMIT_"


@pytest.fixture(scope="module")
def limited(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two workers that count in PostgreSQL, behind a proxy that says who is asking."""
    data_dir: Path = tmp_path_factory.mktemp("limited")
    limits = {
        "STORAGE": "postgresql",
        "PUSHED_REQUEST_PER_CLIENT": f"{PER_CLIENT}/hour",
        "FAILED_AUTHENTICATION_PER_ADDRESS": f"{FAILURES}/hour",
        "DEVICE_PER_ADDRESS": f"{DEVICES}/2second",
        "AUTHORIZE_PER_ADDRESS": f"{PAGES}/hour",
        "LOGIN_PER_ADDRESS": f"{LOGINS}/hour",
        "REGISTRATION_PER_ADDRESS": f"{REGISTRATIONS}/hour",
        "REGISTRATION_PER_CLIENT": f"{UPDATES}/hour",
    }
    environment = {f"{_PREFIX}{name}": rate for name, rate in limits.items()}
    environment["GRANTLEDGER_TRUSTED_PROXIES"] = "127.0.0.1"
    environment["GRANTLEDGER_REGISTRATION"] = "open"
    with (
        postgres.database() as url,
        running_service(
            data_dir, "--workers", "2", port=None, DATABASE_URL=url, **environment
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


@pytest.fixture(scope="module")
def shop(limited: Live) -> WebClient:
    """A confidential client of people."""
    return a_web_client(limited, "limited-shop", grant_types=["authorization_code", DEVICE_CODE])


def by(address: str) -> dict[str, str]:
    """Return the header by which the proxy tells who asks."""
    return {"x-forwarded-for": address}


def at_once(
    live: Live, path: str, times: int, *, address: str, auth: tuple[str, str], **form: str
) -> list[httpx.Response]:
    """Send a form so often at once, each time on a connection of its own: both workers get some."""

    async def one() -> httpx.Response:
        async with httpx.AsyncClient(base_url=live.service.url, timeout=20) as http:
            return await http.post(path, data=form, headers=by(address), auth=auth)

    async def all_of_them() -> list[httpx.Response]:
        return await asyncio.gather(*(one() for _ in range(times)))

    return asyncio.run(all_of_them())


def require_refusal(response: httpx.Response, *, longest: int) -> None:
    """Fail unless a response is a complete refusal."""
    answer = response.json()
    wait = int(response.headers["retry-after"])

    assert (response.status_code, answer["error"]) == (429, "too_many_requests")
    assert 1 <= wait <= longest
    unit = "second" if wait == 1 else "seconds"
    assert answer["error_description"] == f"too many requests; try again in {wait} {unit}"
    assert response.headers["cache-control"] == "no-store"
    assert answer["request_id"] == response.headers["x-request-id"]
    assert "www-authenticate" not in response.headers


def test_workers_share_the_limit_of_a_client(limited: Live, shop: WebClient) -> None:
    """Both together let pass what the limit says, from whatever address; others go on."""
    auth = (shop.client_id, shop.secret)
    form = shop.parameters()
    answers = at_once(limited, PAR, 30, address="192.0.2.1", auth=auth, **form)
    elsewhere = limited.http.post(PAR, data=form, auth=auth, headers=by("192.0.2.2"))
    other = a_web_client(limited, "limited-other")
    others = limited.http.post(
        PAR,
        data=other.parameters(),
        auth=(other.client_id, other.secret),
        headers=by("192.0.2.1"),
    )

    assert sorted(answer.status_code for answer in answers) == [201] * PER_CLIENT + [429] * 23
    for refused in answers:
        if refused.status_code == 429:
            require_refusal(refused, longest=3600)
    require_refusal(elsewhere, longest=3600)
    assert others.status_code == 201, others.text


def test_nobody_uses_up_what_is_a_clients(limited: Live) -> None:
    """Whoever only names a client, or has a wrong secret, takes nothing away from it."""
    victim = a_web_client(limited, "limited-victim")
    form = victim.parameters()
    named = [limited.http.post(PAR, data=form, headers=by("192.0.2.9")) for _ in range(10)]
    guessed = at_once(
        limited, PAR, 10, address="192.0.2.9", auth=(victim.client_id, "gls_guess"), **form
    )
    auth = (victim.client_id, victim.secret)
    own = [limited.http.post(PAR, data=form, auth=auth) for _ in range(PER_CLIENT)]

    assert {answer.status_code for answer in [*named, *guessed]} == {401}
    assert {answer.status_code for answer in own} == {201}


def test_guessing_is_limited_by_address(limited: Live) -> None:
    """So many failures of all workers together; then the address is refused, right secret or not,
    another one is not, and the record says why.
    """
    guess = ("demo", "gls_guess")
    first = at_once(limited, TOKEN, FAILURES, address="192.0.2.20", auth=guess, **FORM)
    # Each worker learns of it with the next failure that it sees.
    more = at_once(limited, TOKEN, 40, address="192.0.2.20", auth=guess, **FORM)
    right = at_once(limited, TOKEN, 10, address="192.0.2.20", auth=limited.demo, **FORM)
    form = {"token": "x"}
    asked = at_once(
        limited, "/oauth/introspect", 1, address="192.0.2.20", auth=limited.demo, **form
    )
    elsewhere = limited.http.post(TOKEN, data=FORM, auth=limited.demo, headers=by("192.0.2.21"))

    assert {answer.status_code for answer in first} == {401}
    for refused in [*more, *right, *asked]:
        require_refusal(refused, longest=3600)
    assert elsewhere.status_code == 200
    reason = "rate limit: failed authentication per address"
    eventually(
        lambda: reason in {entry["reason"] for entry in limited.audit(topic="grant.denied")},
        seconds=10,
    )


def test_a_successful_client_is_not_counted(limited: Live) -> None:
    """The token endpoint itself has no limit unless the settings give it one."""
    answers = at_once(limited, TOKEN, 60, address="192.0.2.30", auth=limited.demo, **FORM)

    assert {answer.status_code for answer in answers} == {200}


def test_after_retry_after_there_is_room(limited: Live, shop: WebClient) -> None:
    """By the seconds that were named, the same address is answered again."""
    auth = (shop.client_id, shop.secret)
    form = {"scope": "user"}
    answers = at_once(limited, DEVICE, DEVICES + 3, address="192.0.2.40", auth=auth, **form)
    refused = [answer for answer in answers if answer.status_code == 429]

    assert len(refused) == 3
    require_refusal(refused[0], longest=2)

    def again() -> bool:
        answer = limited.http.post(DEVICE, data=form, auth=auth, headers=by("192.0.2.40"))
        return answer.status_code == 200

    eventually(again, seconds=int(refused[0].headers["retry-after"]) + 1)


@pytest.mark.parametrize(
    ("forwarded", "same"),
    [
        ("198.51.100.1, 192.0.2.50", "192.0.2.50"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("192.0.2.51:40001", "192.0.2.51:40002"),
    ],
)
def test_the_address_is_the_one_that_the_proxy_vouches_for(
    limited: Live, shop: WebClient, forwarded: str, same: str
) -> None:
    """What a caller writes into the header itself, a port, and the lower half of an IPv6 address
    make no other caller of it.
    """
    auth = (shop.client_id, shop.secret)
    statuses = [
        limited.http.post(
            DEVICE, data={"scope": "user"}, auth=auth, headers=by(address)
        ).status_code
        for address in (*[forwarded] * DEVICES, same, "192.0.2.59")
    ]

    assert statuses == [*[200] * DEVICES, 429, 200]


def test_a_person_reads_a_page(limited: Live, shop: WebClient) -> None:
    """Past the limit of the authorization endpoint, by GET and POST, with the time to wait."""

    def asked(address: str) -> httpx.Response:
        return limited.http.get(AUTHORIZE, params=shop.parameters(), headers=by(address))

    allowed = [asked("192.0.2.60") for _ in range(PAGES)]
    posted = limited.http.post(AUTHORIZE, data=shop.parameters(), headers=by("192.0.2.60"))
    page, elsewhere = asked("192.0.2.60"), asked("192.0.2.61")

    assert [answer.status_code for answer in (*allowed, elsewhere)] == [303] * (PAGES + 1)
    for refused in (page, posted):
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "text/html; charset=utf-8"
        assert 1 <= int(refused.headers["retry-after"]) <= 3600
        assert "Too many requests from your network" in refused.text
        assert f"try again in {refused.headers['retry-after']} seconds" in refused.text
        assert CALLBACK not in refused.text


def test_answers_to_the_question_for_consent_count_with_it(limited: Live, shop: WebClient) -> None:
    """One request may be answered again and again, and each answer would bring a code."""
    person = Person(limited, "nobody")
    page = person.open("/login")

    def answer(address: str) -> int:
        form = {**hidden_fields(page), "decision": "allow"}
        return person.send("POST", "/consent", data=form, headers=by(address)).status_code

    statuses = [answer("192.0.2.62") for _ in range(PAGES + 1)]

    assert statuses == [*[400] * PAGES, 429]


def test_challenges_for_new_passkeys_are_limited(limited: Live) -> None:
    """Each leads to one more event about a person, which every process reads before it serves."""
    person = a_person(limited, "keys-owner")
    page = person.log_in(person.open("/account"))

    def challenge(address: str) -> int:
        return person.send(
            "POST", "/account/passkeys/options", data=hidden_fields(page), headers=by(address)
        ).status_code

    statuses = [challenge("192.0.2.72") for _ in range(LOGINS + 1)]

    assert statuses[-1] == 429
    assert 429 not in statuses[:-1]


def test_passkey_challenges_are_limited(limited: Live) -> None:
    """A challenge is kept until it is used: nobody makes us keep any number of them."""
    person = Person(limited, "nobody")
    page = person.open("/login")

    def challenge(address: str) -> int:
        return person.send(
            "POST", "/login/passkey/options", data=hidden_fields(page), headers=by(address)
        ).status_code

    statuses = [challenge("192.0.2.70") for _ in range(LOGINS + 1)]

    assert statuses == [*[201] * LOGINS, 429]
    assert challenge("192.0.2.71") == 201


def test_metrics_and_document_know_it(limited: Live) -> None:
    """The counter of outcomes has refusals by limit, and the OpenAPI document the status."""
    device = limited.http.get("/schema/openapi.json").json()["paths"][DEVICE]["post"]
    auth = limited.demo
    statuses = {
        limited.http.post(DEVICE, data={}, auth=auth, headers=by("192.0.2.80")).status_code
        for _ in range(DEVICES + 1)
    }

    assert 429 in statuses
    assert "Retry-After" in device["responses"]["429"]["description"]
    shown = (
        'grantledger_requests_total{endpoint="device_authorization",outcome="too_many_requests"}'
    )
    assert shown in limited.http.get("/metrics").text


def register(live: Live, address: str) -> httpx.Response:
    """Register a public client, on a connection of its own."""
    with httpx.Client(base_url=live.service.url, timeout=20) as visitor:
        return visitor.post("/oauth/register", json=APP, headers=by(address))


def manage(
    told: dict[str, Any], method: str, address: str, *, token: str = "", **members: str
) -> httpx.Response:
    """Update or delete a registration with its own token or `token`, on a connection of its own."""
    bearer = token or told["registration_access_token"]
    return httpx.request(
        method,
        told["registration_client_uri"],
        headers={**by(address), "Authorization": f"Bearer {bearer}"},
        json={**APP, "client_id": told["client_id"], **members},
    )


def test_registrations_are_limited(limited: Live) -> None:
    """One address registers so many clients, whatever worker it meets; another one is not held
    back by it.
    """
    first = [register(limited, "192.0.2.77") for _ in range(REGISTRATIONS + 2)]
    other = register(limited, "192.0.2.78")

    statuses = [answer.status_code for answer in first]
    assert statuses == [201] * REGISTRATIONS + [429] * 2
    assert first[-1].json()["error"] == "too_many_requests"
    assert int(first[-1].headers["retry-after"]) > 0
    assert other.status_code == 201


@pytest.mark.parametrize(("method", "number"), [("PUT", 120), ("DELETE", 130)])
def test_managing_a_registration_is_limited_by_address(
    limited: Live, method: str, number: int
) -> None:
    """Before the token is looked at: a wrong one and the right one are refused alike."""
    home, here, elsewhere = (f"192.0.2.{number + one}" for one in range(3))
    told = register(limited, home).json()
    guesses = [manage(told, method, here, token="glr_guess") for _ in range(REGISTRATIONS)]
    refused = manage(told, method, here)
    allowed = manage(told, method, elsewhere)

    assert {answer.status_code for answer in guesses} == {401}
    require_refusal(refused, longest=3600)
    assert allowed.status_code in (200, 204), allowed.text


def test_updates_are_limited_by_client(limited: Live) -> None:
    """From whatever address, and though it is public: every process reads all that it writes. It
    can be deleted still.
    """
    told = register(limited, "192.0.2.100").json()
    addresses = [f"192.0.2.{101 + number}" for number in range(UPDATES + 1)]
    updates = [manage(told, "PUT", address, client_name=f"by {address}") for address in addresses]
    deleted = manage(told, "DELETE", "192.0.2.110")

    assert [answer.status_code for answer in updates[:-1]] == [200] * UPDATES
    require_refusal(updates[-1], longest=3600)
    assert deleted.status_code == 204
