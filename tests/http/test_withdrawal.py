"""Whoever withdraws a consent takes all of it back, however much the client made of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from application.ledger.ledger import Ledger
from domain.consents import Consents
from domain.provenance import Origin, Provenance
from domain.recorded import Recorded
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.session import Session
from projections.sessions import PAGE
from tests.builders import stream_id
from tests.http.live import Live
from tests.http.person import Person, WebClient, a_person, a_web_client
from tests.waiting import eventually

WITHDRAW = "/account/consents/withdraw"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """The client that the person is done with."""
    return a_web_client(live, "shop-withdrawn", name="Shop to leave")


def a_family(client_id: str, subject: str) -> RefreshTokenFamily:
    """Return a family of now."""
    moment = datetime.now(UTC)
    return RefreshTokenFamily.start(
        stream_id(moment),
        FamilyTerms(client_id, subject, "sess_1", ("user",), (), moment, 3600, 3600, 10),
        pepper_id="pepper-1",
        token=IssuedToken(str(stream_id()), moment + HOUR),
        provenance=Provenance(moment, "req_1"),
    )


def a_login(subject: str) -> Session:
    """Return a session of now."""
    moment = datetime.now(UTC)
    return Session.start(
        stream_id(moment),
        subject=subject,
        methods=("pwd",),
        lifetime=HOUR,
        origin=Origin(address="address", user_agent="agent"),
        provenance=Provenance(moment, "req_1"),
    )


async def record_many(live: Live, make: Callable[[], Recorded]) -> None:
    """Record one more than a page of what `make` returns, and have it in the read models."""
    async with Ledger(live.database_url) as ledger:
        await ledger.save(*(make() for _ in range(PAGE + 1)))
    eventually(live.projected)


def withdraw(person: Person, client: WebClient) -> tuple[int, str]:
    """Press the button; return the status of the page that comes, and its text."""
    page = person.submit(person.open("/account"), WITHDRAW, client_id=client.client_id)
    return page.status_code, page.text


async def test_a_crowd_of_families_hides_none(live: Live, shop: WebClient) -> None:
    """Behind more than a page of newer families of another client, the withdrawn one's end."""
    person = a_person(live, "owner-crowd")
    tokens = shop.tokens_from(person)
    await record_many(live, lambda: a_family("accomplice", person.login))
    status, text = withdraw(person, shop)
    refused = shop.refresh(tokens["refresh_token"])
    told = live.introspect(tokens["access_token"], (shop.client_id, shop.secret))

    assert (status, "The consent was withdrawn" in text) == (200, True)
    assert refused.json()["error"] == "invalid_grant"
    assert told == {"active": False}


async def test_a_client_with_a_crowd_of_its_own(live: Live, shop: WebClient) -> None:
    """All families of the client end, the oldest as well, and it is on the page no more."""
    person = a_person(live, "owner-many")
    tokens = shop.tokens_from(person)
    await record_many(live, lambda: a_family(shop.client_id, person.login))
    _, text = withdraw(person, shop)
    ended = live.audit(topic="family.revoked", client_id=shop.client_id, subject=person.login)

    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert len(ended) == PAGE + 2
    assert "Shop to leave" not in text


async def test_a_second_try_claims_no_more_than_it_did(live: Live, shop: WebClient) -> None:
    """A first try withdrew the consent and broke off. While the read model does not know a family
    of before, the next ones say so; when it does, the page offers the button, and the family ends.
    """
    person = a_person(live, "owner-second")
    shop.tokens_from(person)
    eventually(live.projected)
    family = a_family(shop.client_id, person.login)
    with psycopg.connect(live.database_url) as holding:
        holding.execute("SELECT 1 FROM grantledger.projections WHERE name = 'sessions' FOR UPDATE")
        async with Ledger(live.database_url) as ledger:
            consents = await ledger.load(Consents.stream(person.login))
            consents.withdraw(shop.client_id, provenance=Provenance(datetime.now(UTC), "req_1"))
            await ledger.save(family)
            await ledger.save(consents)
        early, _ = withdraw(person, shop)
    eventually(live.projected, seconds=10)
    offered = "Shop to leave" in person.open("/account").text
    done, text = withdraw(person, shop)

    assert (early, offered, done) == (503, True, 200)
    assert "Shop to leave" not in text
    ended = live.audit(topic="family.revoked", family_id=family.family_id)
    assert [one["reason"] for one in ended] == ["consent withdrawn"]


async def test_a_crowd_of_logins_hides_none(live: Live) -> None:
    """The account page and the administration go on to the oldest session behind many newer."""
    person = a_person(live, "owner-logins")
    person.log_in(person.open("/account"))
    await record_many(live, lambda: a_login(person.login))
    page = person.open("/account")
    link = page.text.split("Older sessions")[0].rpartition('href="')[2].partition('"')[0]
    older = person.open(link)
    newest = administered(live, subject=person.login)
    rest = administered(live, subject=person.login, before=newest[-1])

    assert (page.text.count("Another browser"), page.text.count("This browser")) == (PAGE, 0)
    assert (older.text.count("Another browser"), older.text.count("This browser")) == (1, 1)
    assert "Older sessions" not in older.text
    assert (len(newest), len(rest)) == (PAGE, 2)
    assert administered(live, subject=person.login, before=newest[0], limit=1) == newest[1:2]


def test_a_page_before_nothing(live: Live) -> None:
    """What is no session's name is refused on the account page."""
    person = a_person(live, "owner-nothing")
    person.log_in(person.open("/account"))
    refused = person.open("/account", before="\0")

    assert (refused.status_code, "<html" in refused.text) == (400, True)


def administered(live: Live, **query: str | int) -> list[str]:
    """Return the ids of a page of GET /admin/sessions."""
    response = live.http.get("/admin/sessions", headers=live.bearer(), params=query)
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()]
