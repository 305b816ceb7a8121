"""When a person logged in at the upstream provider is when it logged in, for everything."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.application.people.upstream_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Provider,
    running_provider,
)
from tests.cli.running_service import free_port, running_service
from tests.http.live import Live
from tests.http.person import Person, WebClient, a_web_client, answer, hidden_fields
from tests.postgres import Postgres

HOURS_8 = 8 * 3600


@dataclass
class Federated:
    """A service, and the provider that people log in at; its last login was `seconds_ago`."""

    live: Live
    provider: Provider
    shop: WebClient

    def person(self) -> Person:
        """Return somebody with a browser, who has an account at the provider."""
        return Person(self.live, "nobody")

    @contextmanager
    def logged_in(self, seconds_ago: int | None) -> Iterator[None]:
        """Let the provider tell of a login so long ago, or of none."""
        now = datetime.now(UTC)
        self.provider.now = now
        moment = None if seconds_ago is None else int(now.timestamp()) - seconds_ago
        self.provider.claims = lambda issued: {**issued, "auth_time": moment}
        yield

    def go(self, person: Person, page: httpx.Response) -> httpx.Response:
        """Go on from a login page to the provider and back."""
        sent = person.send("POST", "/login/upstream", data=hidden_fields(page))
        assert sent.status_code == 303, sent.text
        back = httpx.get(sent.headers["location"], trust_env=False)
        path = back.headers["location"].removeprefix(self.live.service.url)
        return person.open(path)


@pytest.fixture(scope="module")
def federated(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    """A service whose people log in elsewhere."""
    port = free_port()
    data_dir: Path = tmp_path_factory.mktemp("federated")
    with running_provider(datetime.now(UTC)) as provider, postgres.database() as url:
        settings: dict[str, Any] = {
            "GRANTLEDGER_UPSTREAM_ISSUER": provider.issuer,
            "GRANTLEDGER_UPSTREAM_CLIENT_ID": CLIENT_ID,
            "GRANTLEDGER_UPSTREAM_CLIENT_SECRET": CLIENT_SECRET,
            "GRANTLEDGER_UPSTREAM_CREATE": "true",
            "GRANTLEDGER_UPSTREAM_ROLES": "user",
        }
        provider.redirect_uri = f"http://127.0.0.1:{port}/login/upstream/callback"
        with (
            running_service(data_dir, port=port, DATABASE_URL=url, **settings) as service,
            httpx.Client(base_url=service.url, timeout=20) as http,
        ):
            live = Live(service, http, url)
            yield Federated(live, provider, a_web_client(live, "federated-shop"))


def tokens(at: Federated, person: Person, **changes: str) -> dict[str, Any]:
    """Log in by the provider, consent, and return what the code is redeemed for."""
    page = person.open("/oauth/authorize", **at.shop.parameters(**changes))
    if 'action="/login"' in page.text:
        page = at.go(person, page)
    if 'action="/consent"' in page.text:
        page = person.allow(page)
    redeemed = at.shop.redeem(answer(page)["code"])
    assert redeemed.status_code == 200, redeemed.text
    given: dict[str, Any] = redeemed.json()
    return given


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, unverified."""
    body = token.split(".")[1]
    read: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


def test_a_login_of_eight_hours_ago_is_one_here(federated: Federated) -> None:
    """Our tokens say when it was, `max_age` asks for another one, and the person adds and removes
    nothing that it logs in by.
    """
    person = federated.person()
    with federated.logged_in(HOURS_8):
        given = tokens(federated, person)
        moment = claims(given["id_token"])["auth_time"]
        page = person.open("/account")
        refused = [
            person.submit(page, path, **fields)
            for path, fields in (
                ("/account/passkeys/options", {}),
                ("/account/passkeys", {"response": "{}", "label": "x"}),
                ("/account/passkeys/remove", {"credential": "AAAA"}),
                ("/account/password", {"new": "a password of the thief"}),
            )
        ]
        asked = person.open("/oauth/authorize", **federated.shop.parameters(max_age="3600"))
        older = person.open("/oauth/authorize", **federated.shop.parameters(max_age="36000"))

    assert federated.provider.now.timestamp() - moment == pytest.approx(HOURS_8, abs=60)
    assert claims(given["access_token"])["auth_time"] == moment
    assert [one.status_code for one in refused] == [400] * 4
    assert all("Log in again first" in one.text for one in refused)
    assert 'action="/login"' in asked.text
    assert "code" in answer(older)


def test_a_fresh_login_lets_a_person_change_what_it_logs_in_by(federated: Federated) -> None:
    """The account page leads to one, for which the provider is asked anew."""
    person = federated.person()
    with federated.logged_in(HOURS_8):
        page = federated.go(person, person.open("/login"))
    assert "Log in again</a>" in page.text
    link = page.text.split('<a href="/login?request=')[1].split('"')[0]
    with federated.logged_in(HOURS_8):
        stale = federated.go(person, person.open(f"/login?request={link}"))
        asked = federated.provider.asked
    with federated.logged_in(0):
        fresh = federated.go(person, person.open(f"/login?request={link}"))
    options = person.submit(fresh, "/account/passkeys/options")

    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert stale.status_code == 401
    assert "Log in again</a>" not in fresh.text
    assert options.status_code == 201


@pytest.mark.parametrize(
    ("changes", "seconds_ago"),
    [
        ({"prompt": "login"}, HOURS_8),
        ({"prompt": "login"}, None),
        ({"max_age": "3600"}, HOURS_8),
        ({"max_age": "3600"}, None),
        ({"max_age": "0"}, 120),
    ],
)
def test_an_old_login_is_not_a_fresh_one(
    federated: Federated, changes: dict[str, str], seconds_ago: int | None
) -> None:
    """What a client asks for the provider is asked for, and a login that is older, or of an unknown
    moment, is refused.
    """
    person = federated.person()
    with federated.logged_in(seconds_ago):
        page = person.open("/oauth/authorize", **federated.shop.parameters(**changes))
        refused = federated.go(person, page)

    assert refused.status_code == 401
    assert 'action="/login"' in person.open("/account").text


@pytest.mark.parametrize(
    ("changes", "seconds_ago"),
    [({"prompt": "login"}, 5), ({"prompt": "login", "max_age": "0"}, 30), ({"max_age": "60"}, 90)],
)
def test_a_fresh_login_is_enough(
    federated: Federated, changes: dict[str, str], seconds_ago: int
) -> None:
    """A login that was accepted for a request is so until its code: the provider's clock is not
    ours, and nobody is sent to log in for ever.
    """
    person = federated.person()
    with federated.logged_in(seconds_ago):
        given = tokens(federated, person, **changes)
        again = person.open("/oauth/authorize", **federated.shop.parameters(**changes))

    moment = claims(given["id_token"])["auth_time"]
    assert federated.provider.now.timestamp() - moment == pytest.approx(seconds_ago, abs=10)
    # The next request is another one.
    assert 'action="/login"' in again.text


def test_a_login_of_an_unknown_moment(federated: Federated) -> None:
    """A provider that does not say when is believed who it is, and recent for nothing."""
    person = federated.person()
    with federated.logged_in(None):
        given = tokens(federated, person)
        asked = person.open("/oauth/authorize", **federated.shop.parameters(max_age="36000"))
        page = person.open("/account")
        refused = person.submit(page, "/account/passkeys/options")

    assert claims(given["id_token"])["auth_time"] == 0
    assert 'action="/login"' in asked.text
    assert refused.status_code == 400
