"""What ended stays ended: nothing brings it back, and nothing of it can be used."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from application.ledger.ledger import Ledger
from domain.principal import Principal
from domain.provenance import Provenance
from domain.session import Session
from tests.http.live import Live
from tests.http.person import CALLBACK, Person, WebClient, a_person, a_web_client, hidden_fields
from tests.http.test_device_code import DEVICE_CODE, begin, decide
from tests.waiting import eventually

BYE = "https://client.example/bye"
SCOPES = pytest.mark.parametrize("scope", ["openid offline_access user", "openid user", "user"])
"""With a refresh token or without, `openid` or not."""


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """A client that people log in to."""
    return a_web_client(live, "shop-ended", redirects=_redirects())


def _redirects() -> dict[str, Any]:
    return {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [BYE]}


def _administer(live: Live, method: str, path: str, **options: Any) -> httpx.Response:
    answered = live.http.request(method, path, headers=live.bearer(), **options)
    assert answered.is_success, answered.text
    return answered


def _set_active(live: Live, subject: str, act: str) -> None:
    _administer(live, "POST", f"/admin/principals/{subject}/{act}")


def _active(live: Live, token: str, client: WebClient) -> bool:
    return bool(live.introspect(token, (client.client_id, client.secret))["active"])


def _for_every_worker(holds: Callable[[], bool]) -> None:
    """Wait until each of several connections, which meet any worker, sees what was decided."""
    eventually(lambda: all(holds() for _ in range(8)))


@SCOPES
def test_reactivation_revives_nothing(live: Live, shop: WebClient, scope: str) -> None:
    """A deactivation ends sessions, refresh tokens and access tokens, and records it; none of them
    works after a reactivation, and a new login does.
    """
    subject = f"leaver-{scope.replace(' ', '-')}"
    person = a_person(live, subject)
    tokens = shop.tokens_from(person, scope=scope)
    waiting = shop.code_from(person, scope=scope)
    before = _active(live, tokens["access_token"], shop)
    _set_active(live, subject, "deactivate")
    meanwhile = _active(live, tokens["access_token"], shop)
    ended = live.audit(topic="session.ended", subject=subject)
    _set_active(live, subject, "reactivate")
    after = person.open("/account")
    again = shop.tokens_from(person, scope=scope)

    assert (before, meanwhile, len(ended)) == (True, False, 1)
    assert 'action="/login"' in after.text
    assert not _active(live, tokens["access_token"], shop)
    assert shop.redeem(waiting).json()["error"] == "invalid_grant"
    if "refresh_token" in tokens:
        assert not _active(live, tokens["refresh_token"], shop)
        assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert _active(live, again["access_token"], shop)


async def test_a_deactivation_alone_voids_for_good(live: Live, shop: WebClient) -> None:
    """Where no end of a session was recorded with a deactivation, because the read models were away
    perhaps, a reactivation revives nothing either.
    """
    person = a_person(live, "leaver-alone")
    tokens = shop.tokens_from(person)
    code = shop.code_from(person)
    async with Ledger(live.database_url) as ledger:
        await _record_deactivation(ledger, "leaver-alone")
    _set_active(live, "leaver-alone", "reactivate")
    used = [shop.refresh(tokens["refresh_token"]), shop.redeem(code)]

    assert [answer.json()["error"] for answer in used] == ["invalid_grant"] * 2
    assert not _active(live, tokens["access_token"], shop)
    assert not _active(live, tokens["refresh_token"], shop)
    _for_every_worker(lambda: 'action="/login"' in person.open("/account").text)


async def _record_deactivation(ledger: Ledger, subject: str) -> None:
    principal = await ledger.load(Principal.stream(subject))
    principal.deactivate(Provenance(datetime.now(UTC), "req_1", by="operator-1"))
    await ledger.save(principal)


@SCOPES
def test_a_withdrawn_consent_ends_tokens(live: Live, shop: WebClient, scope: str) -> None:
    """The access token ends with the consent, with a refresh token beside it or without."""
    person = a_person(live, f"withdrawer-{scope.replace(' ', '-')}")
    tokens = shop.tokens_from(person, scope=scope)
    page = person.open("/account")
    done = person.submit(page, "/account/consents/withdraw", client_id=shop.client_id)

    assert (done.status_code, "The consent was withdrawn" in done.text) == (200, True)
    assert not _active(live, tokens["access_token"], shop)


def _withdraw(person: Person, client: WebClient) -> None:
    person.submit(person.open("/account"), "/account/consents/withdraw", client_id=client.client_id)


def test_a_consent_given_again_revives_no_code(live: Live, shop: WebClient) -> None:
    """A code of before a withdrawal does not redeem on the consent that is given afterwards."""
    person = a_person(live, "withdrawer-again")
    old = shop.code_from(person)
    _withdraw(person, shop)
    new = shop.code_from(person)

    assert shop.redeem(old).json()["error"] == "invalid_grant"
    assert shop.redeem(new).status_code == 200


def test_a_consent_given_again_revives_no_device(live: Live, television: WebClient) -> None:
    """Nor does a device that was let in before, while the one that was let in since connects."""
    person = a_person(live, "withdrawer-of-devices")
    old, new = begin(live, television), begin(live, television)
    decide(person, old["user_code"], "allow")
    _withdraw(person, television)
    decide(person, new["user_code"], "allow")
    told = [television.ask(DEVICE_CODE, device_code=one["device_code"]) for one in (old, new)]

    assert [one.status_code for one in told] == [400, 200]


def test_a_former_owner_that_is_deactivated(live: Live) -> None:
    """A token whose subject is deactivated is inactive, though its client has another owner by now,
    or none; and a reactivation does not revive it.
    """
    headers = live.bearer()
    for subject in ("owner-then", "owner-now"):
        live.http.post(
            "/admin/principals", headers=headers, json={"subject": subject, "roles": ["user"]}
        )
    client = live.register("owned", scopes=["mcp"], owner="owner-then")
    _for_every_worker(lambda: live.ask_token(client).status_code == 200)
    token = live.token(client)
    _administer(live, "PATCH", "/admin/clients/owned", json={"owner": "owner-now"})
    before = live.introspect(token, client)
    _set_active(live, "owner-then", "deactivate")
    _for_every_worker(lambda: not live.introspect(token, client)["active"])
    _administer(live, "PATCH", "/admin/clients/owned", json={"owner": ""})
    without = live.introspect(token, client)
    _set_active(live, "owner-then", "reactivate")
    revived = live.introspect(token, client)

    assert (before["active"], before["sub"]) == (True, "owner-then")
    assert (without["active"], revived["active"]) == (False, False)
    assert live.introspect(live.token(client), client)["active"]


@pytest.fixture(scope="module")
def television(live: Live) -> WebClient:
    """A public client without a browser."""
    return a_web_client(
        live,
        "television-ended",
        client_type="public",
        grant_types=[DEVICE_CODE, "refresh_token"],
        redirects={},
    )


def test_a_device_of_an_ended_session(live: Live, television: WebClient) -> None:
    """A device code that was approved in a session which ended since does not redeem."""
    person = a_person(live, "viewer-ended")
    given = begin(live, television)
    decide(person, given["user_code"], "allow")
    person.submit(person.open("/account"), "/account/logout")
    told = television.ask(DEVICE_CODE, device_code=given["device_code"])

    assert (told.status_code, told.json()["error"]) == (400, "invalid_grant")


def test_no_old_secret_comes_back(live: Live) -> None:
    """A client that was moved to keys and back has none of the secrets that it had before."""
    client = live.register("to-keys-and-back", scopes=["mcp"])
    _for_every_worker(lambda: live.ask_token(client).status_code == 200)
    key = {
        "kid": "key-1",
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }
    path = "/admin/clients/to-keys-and-back"
    by_key = {"authentication": {"method": "private_key_jwt", "jwks": [key]}}
    _administer(live, "PATCH", path, json=by_key)
    _administer(live, "PATCH", path, json={"authentication": {}})
    _for_every_worker(lambda: live.ask_token(client).status_code == 401)
    retired = live.audit(topic="client.secret_retired", client_id=client[0])
    fresh = _administer(live, "POST", f"{path}/rotate-secret", json={}).json()["client_secret"]

    assert len(retired) == 1
    _for_every_worker(lambda: live.ask_token((client[0], fresh)).status_code == 200)
    assert live.ask_token(client).status_code == 401


class _Leaving:
    """A client with an address to go on to, and a person that is logged in to it."""

    def __init__(self, live: Live, name: str) -> None:
        self.live = live
        self.client = a_web_client(live, name, redirects=_redirects())
        self.person = a_person(live, f"person-of-{name}")

    def disable(self) -> None:
        """Disable the client, for every worker."""
        path = f"/admin/clients/{self.client.client_id}"
        _administer(self.live, "PATCH", path, json={"enabled": False})
        visitor = Person(self.live, "nobody")
        _for_every_worker(
            lambda: (
                "not known here"
                in visitor.open("/oauth/authorize", **self.client.parameters()).text
            ),
        )


def test_a_disabled_client_gets_no_browser_at_logout(live: Live) -> None:
    """Its address is none to go on to, whether the logout begins after the client was disabled or
    waits on the page meanwhile.
    """
    at = _Leaving(live, "leaving-disabled")
    hint = at.client.tokens_from(at.person)["id_token"]
    asked = {"client_id": at.client.client_id, "post_logout_redirect_uri": BYE}
    waiting = at.person.open("/oauth/logout", **asked)
    at.disable()
    begun = at.person.open("/oauth/logout", id_token_hint=hint, post_logout_redirect_uri=BYE)
    stranger = Person(live, "nobody").open("/oauth/logout", **asked)
    confirmed = at.person.send("POST", "/oauth/logout/confirm", data=hidden_fields(waiting))

    assert [one.status_code for one in (begun, stranger, confirmed)] == [400, 400, 200]
    assert not any("location" in one.headers for one in (begun, stranger, confirmed))
    assert 'action="/login"' in at.person.open("/account").text


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_disabled_client_gets_no_browser_at_consent(live: Live, decision: str) -> None:
    """A person that looks at the consent page of a client which is disabled meanwhile is not sent
    to its address, whatever the person decides.
    """
    at = _Leaving(live, f"consenting-{decision}")
    page = at.person.open("/oauth/authorize", **at.client.parameters())
    page = at.person.log_in(page)
    at.disable()
    shown = at.person.send("GET", str(page.request.url.raw_path.decode()))
    decided = at.person.submit(page, "/consent", decision=decision)

    assert 'action="/consent"' in page.text
    assert [one.status_code for one in (shown, decided)] == [400, 400]
    assert not any("location" in one.headers for one in (shown, decided))


async def test_an_ended_session_is_in_the_log(live: Live, shop: WebClient) -> None:
    """A deactivation ends the session with everything in it, as the record says."""
    person = a_person(live, "leaver-recorded")
    tokens = shop.tokens_from(person)
    told = live.introspect(tokens["access_token"], (shop.client_id, shop.secret))
    _set_active(live, "leaver-recorded", "deactivate")
    async with Ledger(live.database_url) as ledger:
        token = await ledger.load(UUID(told["jti"]))
        family = await ledger.load(UUID(token.issued.family_id))
        session = await ledger.load(Session.stream(told["sid"]))

    assert (token.revoked, family.revoked, session.ended) == (True, True, True)
