"""What is begun in one browser counts there alone, and no other site changes what it keeps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from msgspec.structs import replace

from api.composition import PENDING_SECONDS
from application.authorization.pending import Authorizing, opened, sealed
from application.sealing import Sealing
from application.secrets_file import load_secret_keys
from application.settings import Settings
from tests.http.live import Live
from tests.http.person import (
    PASSWORD,
    Person,
    WebClient,
    a_person,
    a_web_client,
    answer,
    hidden_fields,
)


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """A client of people."""
    return a_web_client(live, "browser-shop")


@pytest.fixture(scope="module")
def owner(live: Live) -> Person:
    """A person that is logged in."""
    person = a_person(live, "browser-owner")
    person.log_in(person.open("/account"))
    return person


Forms = Callable[[WebClient], dict[str, str]]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/oauth/authorize", lambda shop: shop.parameters()),
        ("/oauth/authorize", lambda _: {"client_id": "unknown"}),
        ("/oauth/logout", lambda shop: {"client_id": shop.client_id}),
        ("/login", lambda _: {"login": "browser-owner", "password": PASSWORD}),
        ("/login/upstream", lambda _: {"request": "x"}),
        ("/consent", lambda _: {"decision": "allow"}),
        ("/device", lambda _: {"user_code": "BBBB-BBBB"}),
        ("/account/logout", lambda _: {"csrf": "x"}),
        ("/console/logout", lambda _: {"csrf": "x"}),
    ],
)
def test_a_post_from_another_site_replaces_no_cookie(
    live: Live, shop: WebClient, path: str, fields: Forms
) -> None:
    """Such a post comes without the cookies of the browser (SameSite=Lax): its answer sets none, or
    it would replace the one that forms and logins of that browser hang on.
    """
    with httpx.Client(base_url=live.service.url) as browser:
        answered = browser.post(
            path,
            data=fields(shop),
            headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        )

    assert answered.status_code in (303, 400)
    assert "set-cookie" not in answered.headers


def test_a_form_goes_on_after_a_post_from_another_site(live: Live, shop: WebClient) -> None:
    """The login page that was open meanwhile still works, and so does the request that was posted:
    OpenID Connect has clients post it.
    """
    person = a_person(live, "posted-at")
    page = person.open("/login")
    with httpx.Client(base_url=live.service.url) as elsewhere:
        posted = elsewhere.post("/oauth/authorize", data=shop.parameters())
        person.cookies.update(elsewhere.cookies)
    assert "Your account" in person.log_in(page).text
    asked = person.open(posted.headers["location"])
    code = answer(person.allow(asked))["code"]

    assert shop.redeem(code).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_is_refused(owner: Person, site: str) -> None:
    """With the token of the browser too, where the browser says that another site posts; it hides
    the origin ("null") where that site asks it to.
    """
    page = owner.open("/account")
    form = {**hidden_fields(page), "client_id": "unknown"}
    headers = {"origin": "null", "sec-fetch-site": site}
    refused = owner.send("POST", "/account/consents/withdraw", data=form, headers=headers)
    own = {"origin": "null", "sec-fetch-site": "same-origin"}
    taken = owner.send("POST", "/account/consents/withdraw", data=form, headers=own)

    assert (refused.status_code, taken.status_code) == (400, 303)


def begun_by_an_attacker(live: Live, shop: WebClient, path: str) -> str:
    """Return the sealed request of a browser of an attacker, at the page `path`."""
    attacker = Person(live, "attacker")
    shown = attacker.open("/oauth/authorize", **shop.parameters())
    assert path in shown.text
    return hidden_fields(shown)["request"]


@pytest.mark.parametrize("path", ["/login", "/oauth/authorize/continue", "/consent"])
def test_a_request_counts_in_the_browser_that_began_it(
    live: Live, owner: Person, shop: WebClient, path: str
) -> None:
    """A link with what an attacker began leads nowhere in the browser of somebody else."""
    request = begun_by_an_attacker(live, shop, "/login")
    shown = owner.open(path, request=request)

    assert shown.status_code == 400
    assert "start again where you came from" in shown.text


def test_a_form_carries_no_request_of_another_browser(
    live: Live, owner: Person, shop: WebClient
) -> None:
    """Nor does one that is sent: a code of this session would go where the attacker says."""
    request = begun_by_an_attacker(live, shop, "/login")
    page = owner.open("/account")
    answers = [
        owner.submit(page, path, request=request, **fields).status_code
        for path, fields in (
            ("/consent", {"decision": "allow"}),
            ("/login", {"login": owner.login, "password": PASSWORD}),
            ("/device/confirm", {"decision": "allow"}),
            ("/oauth/logout/confirm", {}),
        )
    ]

    assert answers == [400, 400, 400, 400]


def test_a_posted_request_begins_when_it_arrives(live: Live, shop: WebClient) -> None:
    """A link to one that was kept does not make a login of meanwhile one that came after it."""
    with httpx.Client(base_url=live.service.url) as elsewhere:
        posted = elsewhere.post("/oauth/authorize", data=shop.parameters(prompt="login"))
    person = a_person(live, "kept-link")
    person.log_in(person.open("/account"))
    shown = person.open(posted.headers["location"])
    bare = person.open("/login", request=posted.headers["location"].partition("=")[2])

    assert 'action="/login"' in shown.text
    assert bare.status_code == 400


def test_a_posted_request_arrives_at_once_or_not_at_all(
    live: Live, shop: WebClient, owner: Person
) -> None:
    """A link to it is worth nothing after a minute: what was pushed counts once (RFC 9126)."""
    with httpx.Client(base_url=live.service.url) as elsewhere:
        posted = elsewhere.post("/oauth/authorize", data=shop.parameters())
    peppers, _ = load_secret_keys(Settings(data_dir=live.service.data_dir))
    sealing = Sealing(peppers, purpose="pending request", seconds=PENDING_SECONDS)
    value = parse_qs(urlsplit(posted.headers["location"]).query)["arriving"][0]
    pending = opened(value, sealing, browser="")
    assert isinstance(pending, Authorizing)

    def following(seconds: int) -> httpx.Response:
        begun = replace(pending, started_at=datetime.now(UTC) - timedelta(seconds=seconds))
        return owner.open("/oauth/authorize/continue", arriving=sealed(begun, sealing, browser=""))

    assert 'action="/consent"' in following(50).text
    assert following(70).status_code == 400


def _switched(shop: WebClient, person: Person) -> httpx.Response:
    page = person.open("/oauth/authorize", **shop.parameters(prompt="consent"))
    return person.submit(page, "/consent", decision="switch")


def _logged_in_over(shop: WebClient, person: Person) -> httpx.Response:
    page = person.open("/oauth/authorize", **shop.parameters(prompt="login"))
    other = a_person(person.live, "somebody-else")
    return person.submit(page, "/login", login=other.login, password=PASSWORD)


@pytest.mark.parametrize("leave", [_switched, _logged_in_over])
def test_logging_in_as_somebody_else_ends_the_session_that_was_there(
    live: Live, shop: WebClient, leave: Any
) -> None:
    """Its tokens are void and its cookie is: nobody could log out of it any more."""
    person = a_person(live, f"left{leave.__name__}")
    tokens = shop.tokens_from(person)
    before = httpx.Cookies(person.cookies)
    shown = leave(shop, person)
    copied = Person(live, person.login)
    copied.cookies = before

    assert shown.status_code == 200
    assert not live.introspect(tokens["access_token"], (shop.client_id, shop.secret))["active"]
    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert 'action="/login"' in copied.open("/account").text
