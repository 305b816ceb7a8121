"""Guesses at passwords and user codes, many at once and from every corner of one network."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from application.people.throttle import FREE, FREE_OF_NETWORK
from tests.cli.running_service import running_service
from tests.http.live import Live
from tests.http.person import PASSWORD, Person, a_person, hidden_fields
from tests.postgres import Postgres
from tests.waiting import eventually

AT_ONCE = 40
LOGINS = 100


@pytest.fixture(scope="module")
def attacked(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two workers behind a proxy that says who is asking."""
    data_dir: Path = tmp_path_factory.mktemp("attacked")
    settings: dict[str, Any] = {
        "GRANTLEDGER_TRUSTED_PROXIES": "127.0.0.1",
        "GRANTLEDGER_RATE_LIMIT_STORAGE": "postgresql",
        "GRANTLEDGER_RATE_LIMIT_LOGIN_PER_ADDRESS": f"{LOGINS}/hour",
    }
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url, **settings) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


def by(address: str) -> dict[str, str]:
    """Return the header by which the proxy tells who asks."""
    return {"x-forwarded-for": address}


def at_once(
    person: Person, page: httpx.Response, path: str, *addresses: str, **fields: str
) -> Counter[int]:
    """Send a form of `page` from each address at the same moment, each on a connection of its own,
    and return how often each status came back.
    """
    form = {**hidden_fields(page), **fields}

    async def one(address: str) -> int:
        async with httpx.AsyncClient(cookies=person.cookies, timeout=60) as browser:
            url = f"{person.live.service.url}{path}"
            return (await browser.post(url, data=form, headers=by(address))).status_code

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(one(address) for address in addresses))

    return Counter(asyncio.run(all_of_them()))


def spellings(number: int) -> str:
    """Return an address of one network as one of many proxies would write it."""
    host = f"2001:db8:1:7::{number:x}"
    return (host, f"[{host}]:{50_000 + number}", host.upper())[number % 3]


def mapped(number: int) -> str:
    """Return one IPv4 address in a spelling of it."""
    return ("198.51.100.9", f"198.51.100.9:{number}", "::ffff:198.51.100.9")[number % 3]


@pytest.mark.parametrize("spelled", [spellings, mapped])
def test_forty_wrong_passwords_at_once(attacked: Live, spelled: Any) -> None:
    """No more are compared than are free, whichever addresses of the network they come from and
    however these are written.
    """
    login = a_person(attacked, f"guessed-{spelled.__name__}").login
    thief = Person(attacked, login)
    addresses = [spelled(number) for number in range(AT_ONCE)]
    statuses = at_once(
        thief, thief.open("/login"), "/login", *addresses, login=login, password="wrong"
    )

    assert statuses == {401: FREE, 429: AT_ONCE - FREE}


def test_forty_user_codes_at_once(attacked: Live) -> None:
    """The same of user codes; who is logged in is not kept waiting by the strangers next door."""
    thief = Person(attacked, "nobody")
    address = ["198.51.100.77"] * AT_ONCE
    statuses = at_once(thief, thief.open("/device"), "/device", *address, user_code="BBBB-BBBB")
    neighbour = a_person(attacked, "neighbour")
    neighbour.log_in(neighbour.open("/account"))
    page = neighbour.open("/device")
    own = at_once(neighbour, page, "/device", address[0], user_code="BBBB-BBBB")

    assert statuses == {404: FREE, 429: AT_ONCE - FREE}
    assert own == {404: 1}


def test_forty_present_passwords_at_once(attacked: Live) -> None:
    """A stolen cookie is no place to guess at the password, from however many addresses."""
    person = a_person(attacked, "present")
    page = person.log_in(person.open("/account"))
    statuses = at_once(
        person,
        page,
        "/account/password",
        *(f"192.0.2.{number}" for number in range(AT_ONCE)),
        current="wrong",
        new="a password of the thief",
    )

    assert statuses == {400: FREE, 429: AT_ONCE - FREE}


def test_five_changes_at_once(attacked: Live) -> None:
    """Of changes that compared the same present password one counts: a thief who knows it does not
    undo the change of its owner.
    """
    person = a_person(attacked, "racing")
    page = person.log_in(person.open("/account"))
    new = "one of the new passwords"
    addresses = ["192.0.2.200"] * FREE
    statuses = at_once(person, page, "/account/password", *addresses, current=PASSWORD, new=new)

    assert statuses[303] >= 1  # and who comes late is sent to log in: the cookie is another one
    assert len(attacked.audit(topic="principal.password_set", subject="racing")) == 2


def test_a_known_browser_next_to_an_attacker(attacked: Live) -> None:
    """Strangers behind one address fail until it has to wait, and use up its rate limit as well:
    the browser that logged its person in before goes on there. One that did not is told to wait
    before anything is hashed.
    """
    person = a_person(attacked, "next-door")
    person.log_in(person.open("/account"))
    person.cookies.delete("grantledger_session")
    thief = Person(attacked, "nobody")
    page = thief.open("/login")
    shared = "198.51.100.200"
    for number in range(FREE_OF_NETWORK):
        fields = {"login": f"account-{number}", "password": "wrong"}
        at_once(thief, page, "/login", shared, **fields)
    waits = at_once(thief, page, "/login", shared, login="another", password="wrong")
    while at_once(thief, page, "/login/passkey/options", *[shared] * 20)[201]:
        pass
    hers = {"login": person.login, "password": PASSWORD}
    stranger = at_once(thief, page, "/login", shared, **hers)
    wrong = {"login": person.login, "password": "mistyped"}
    mistyped = at_once(person, person.open("/login"), "/login", shared, **wrong)
    known = at_once(person, person.open("/login"), "/login", shared, **hers)
    challenged = at_once(person, person.open("/login"), "/login/passkey/options", shared)

    assert waits == {429: 1}
    assert stranger == {429: 1}
    assert mistyped == {401: 1}
    assert known == {303: 1}
    assert challenged == {201: 1}
    expected = {"throttled", "rate limit: login per address"}
    eventually(
        lambda: expected <= {entry["reason"] for entry in attacked.audit(topic="grant.denied")}
    )


def test_a_stolen_cookie_of_the_browser(attacked: Live) -> None:
    """What makes a browser known has a limit of its own: five guesses more, and no sixth."""
    person = a_person(attacked, "cookie-owner")
    person.log_in(person.open("/account"))
    person.cookies.delete("grantledger_session")
    fields = {"login": person.login, "password": "wrong"}
    addresses = ["203.0.113.99"] * AT_ONCE
    statuses = at_once(person, person.open("/login"), "/login", *addresses, **fields)

    assert statuses == {401: 2 * FREE, 429: AT_ONCE - 2 * FREE}


def test_the_key_of_an_upstream_identity_is_no_login_name(attacked: Live) -> None:
    """Nobody is given a name of that form, however it is written."""
    a_person(attacked, "plain")
    answers = [
        attacked.http.put(
            "/admin/principals/plain/login",
            headers=attacked.bearer(),
            json={"login": login, "password": PASSWORD},
        )
        for login in ("upstream:" + "0" * 64, " UpStream:x")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert "does not begin with upstream:" in answers[0].json()["error_description"]
