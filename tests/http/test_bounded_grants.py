"""What hangs on one grant is bounded: whoever holds it cannot make too much of it to be revoked."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from application.ledger.ledger import Ledger
from domain.provenance import Provenance
from domain.refresh_token_family import MOST_ALIVE, IssuedToken
from domain.session import MOST_AUTHORIZED, Authorized, Session
from tests.builders import stream_id
from tests.http.live import Live
from tests.http.person import WebClient, a_person, a_web_client, answer
from tests.waiting import eventually

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """A confidential client that people log in to."""
    return a_web_client(live, "shop-bounded")


async def test_a_family_says_when_there_is_room_again(live: Live, shop: WebClient) -> None:
    """429 with Retry-After, recorded with its reason; the refresh token is as good as before."""
    tokens = shop.tokens_from(a_person(live, "alice-bounded"))
    moment = datetime.now(UTC)
    async with Ledger(live.database_url) as ledger:
        issued = (await ledger.load(_jti(live, shop, tokens["access_token"]))).issued
        family = await ledger.load(UUID(issued.family_id))
        for number in range(MOST_ALIVE - 1):
            ends = moment + (timedelta(seconds=3) if number == 0 else HOUR)
            token = IssuedToken(str(stream_id()), ends)
            family.use(token=token, provenance=Provenance(moment, "req_1"))
        await ledger.save(family)
    refused = shop.refresh(tokens["refresh_token"])

    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3
    eventually(lambda: shop.refresh(tokens["refresh_token"]).status_code == 200)
    eventually(
        lambda: any(
            event["reason"] == "too many tokens of this grant are in use"
            for event in live.audit(topic="grant.denied", client_id=shop.client_id)
        )
    )


async def test_a_full_session_asks_for_a_login(live: Live, shop: WebClient) -> None:
    """It ends with that login: what hangs on it would outlive the person's next logout."""
    person = a_person(live, "bob-bounded")
    first = shop.tokens_from(person)
    sid = live.introspect(first["access_token"], (shop.client_id, shop.secret))["sid"]
    moment = datetime.now(UTC)
    async with Ledger(live.database_url) as ledger:
        session = await ledger.load(Session.stream(sid))
        for _ in range(MOST_AUTHORIZED - len(session.authorized)):
            given = Authorized(shop.client_id, None, str(stream_id()), moment + HOUR)
            session.authorize(given, Provenance(moment, "req_1"))
        await ledger.save(session)
    silent = person.open("/oauth/authorize", **shop.parameters(prompt="none"))
    told = answer(person.log_in(person.open("/oauth/authorize", **shop.parameters())))
    second = shop.redeem(told["code"]).json()

    assert answer(silent)["error"] == "login_required"
    assert not live.introspect(first["access_token"], (shop.client_id, shop.secret))["active"]
    assert shop.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    after = live.introspect(second["access_token"], (shop.client_id, shop.secret))
    assert after["active"]
    assert after["sid"] != sid
    assert "code" in answer(person.open("/oauth/authorize", **shop.parameters(prompt="none")))


def _jti(live: Live, shop: WebClient, token: str) -> UUID:
    return UUID(live.introspect(token, (shop.client_id, shop.secret))["jti"])
