"""Refresh tokens of people: rotation, reuse, revocation and what ends them, over real HTTP."""

import pytest

from tests.http.live import INTROSPECT, REVOKE, Live
from tests.http.person import (
    Person,
    WebClient,
    a_person,
    a_web_client,
)
from tests.waiting import eventually


@pytest.fixture(scope="module")
def alice(live: Live) -> Person:
    """A person with the role user."""
    return a_person(live, "alice-refreshing")


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """A confidential client that people log in to."""
    return a_web_client(live, "shop-refreshing")


def test_refresh_rotates(live: Live, alice: Person, shop: WebClient) -> None:
    """A refresh gives new tokens; the same token again, at once, the same successor again."""
    first = shop.tokens_from(alice)
    second = shop.refresh(first["refresh_token"]).json()
    retried = shop.refresh(first["refresh_token"]).json()
    third = shop.refresh(second["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert retried["refresh_token"] == second["refresh_token"]
    assert retried["access_token"] != second["access_token"]
    assert third["refresh_token"] not in (first["refresh_token"], second["refresh_token"])
    assert third["scope"] == first["scope"]


def test_reuse_ends_the_family(live: Live, alice: Person, shop: WebClient) -> None:
    """A retired refresh token ends the family and its access tokens, and is kept as evidence."""
    first = shop.tokens_from(alice)
    second = shop.refresh(first["refresh_token"]).json()
    third = shop.refresh(second["refresh_token"]).json()
    stolen = shop.refresh(first["refresh_token"])
    basic = (shop.client_id, shop.secret)
    events = live.audit(topic="family.reuse_detected")

    assert stolen.json()["error"] == "invalid_grant"
    assert shop.refresh(third["refresh_token"]).json()["error"] == "invalid_grant"
    assert not live.introspect(third["access_token"], basic)["active"]
    assert not live.introspect(first["access_token"], basic)["active"]
    assert events[0]["client_id"] == shop.client_id
    assert len(events[0]["detail"]["tokens_revoked"]) == 3


def test_refresh_may_narrow_and_never_widen(alice: Person, shop: WebClient) -> None:
    """A refresh for less gives less, the next one all again; for more it is refused unharmed."""
    tokens = shop.tokens_from(alice)
    wider = shop.refresh(tokens["refresh_token"], scope="user mcp")
    narrower = shop.refresh(tokens["refresh_token"], scope="anonymous")
    full = shop.refresh(narrower.json()["refresh_token"])

    assert wider.json()["error"] == "invalid_scope"
    assert narrower.json()["scope"] == "anonymous"
    assert full.json()["scope"] == tokens["scope"]


def test_another_client_cannot_refresh(live: Live, alice: Person, shop: WebClient) -> None:
    """Another client that holds a copy gets nothing and moves nothing."""
    other = a_web_client(live, "other")
    tokens = shop.tokens_from(alice)

    assert other.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert shop.refresh(tokens["refresh_token"]).status_code == 200


def test_no_refresh_token_without_offline_access(alice: Person, shop: WebClient) -> None:
    """With openid, a refresh token is given for offline_access alone."""
    assert "refresh_token" not in shop.tokens_from(alice, scope="openid user")


def test_revoking_a_refresh_token_ends_the_family(
    live: Live, alice: Person, shop: WebClient
) -> None:
    """RFC 7009: the family and its access tokens are void once its client revokes it."""
    tokens = shop.tokens_from(alice)
    basic = (shop.client_id, shop.secret)
    live.http.post(REVOKE, auth=basic, data={"token": tokens["refresh_token"]})

    assert not live.introspect(tokens["access_token"], basic)["active"]
    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_introspection_of_a_refresh_token(live: Live, alice: Person, shop: WebClient) -> None:
    """Its own client sees a refresh token, nobody else does."""
    tokens = shop.tokens_from(alice)
    seen = live.introspect(tokens["refresh_token"], (shop.client_id, shop.secret))
    other = live.http.post(INTROSPECT, auth=live.demo, data={"token": tokens["refresh_token"]})

    assert (seen["active"], seen["sub"], seen["client_id"]) == (True, alice.login, shop.client_id)
    assert other.json() == {"active": False}


def test_deactivated_people_have_nothing(live: Live, shop: WebClient) -> None:
    """A deactivated person's tokens are inactive, its refresh and login refused."""
    person = a_person(live, "leaver")
    tokens = shop.tokens_from(person)
    live.http.post("/admin/principals/leaver/deactivate", headers=live.bearer())
    basic = (shop.client_id, shop.secret)

    eventually(lambda: not live.introspect(tokens["access_token"], basic)["active"])
    eventually(lambda: shop.refresh(tokens["refresh_token"]).status_code == 400)
    eventually(lambda: 'action="/login"' in person.open("/account").text)
    eventually(lambda: person.log_in(person.open("/login")).status_code == 401)

    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_ending_a_session_ends_its_families(live: Live, shop: WebClient) -> None:
    """An administrator ends a session, and what was issued under it is void at once."""
    person = a_person(live, "mallory")
    tokens = shop.tokens_from(person)
    basic = (shop.client_id, shop.secret)
    sid = live.introspect(tokens["access_token"], basic)["sid"]
    ended = live.http.post(f"/admin/sessions/{sid}/end", headers=live.bearer())
    page = person.open("/account")

    assert ended.status_code == 200
    assert not live.introspect(tokens["access_token"], basic)["active"]
    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert 'action="/login"' in page.text
