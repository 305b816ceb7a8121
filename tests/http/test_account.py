"""The account page: what a person does for itself, and nothing for anybody else."""

import pytest

from tests.http.live import Live
from tests.http.person import PASSWORD, Person, a_person, a_web_client
from tests.waiting import eventually

NEW = "another good long password"


@pytest.fixture(scope="module")
def owner(live: Live) -> Person:
    """A person that is logged in."""
    person = a_person(live, "account-owner")
    person.log_in(person.open("/account"))
    return person


def test_the_password_is_changed(live: Live) -> None:
    """With the present password a person sets another one, and logs in by that alone."""
    person = a_person(live, "changer")
    page = person.log_in(person.open("/account"))
    wrong = person.submit(page, "/account/password", current="not the password", new=NEW)
    short = person.submit(page, "/account/password", current=PASSWORD, new="short")
    done = person.submit(page, "/account/password", current=PASSWORD, new=NEW)
    stranger = Person(live, "changer")
    old = stranger.log_in(stranger.open("/account"))
    new = stranger.log_in(stranger.open("/account"), password=NEW)

    assert (wrong.status_code, short.status_code, done.status_code) == (400, 400, 200)
    assert "The password was changed" in done.text
    assert old.status_code == 401
    assert "Your account" in new.text


def test_nobody_ends_another_ones_session(live: Live, owner: Person) -> None:
    """The session of somebody else, or none, is not found; one's own is ended."""
    client = a_web_client(live, "account-shop")
    other = a_person(live, "account-other")
    tokens = client.tokens_from(other)
    basic = (client.client_id, client.secret)
    foreign = live.introspect(tokens["access_token"], basic)["sid"]
    page = owner.open("/account")
    answers = [
        owner.submit(page, "/account/sessions/end", session_id=wrong).status_code
        for wrong in (foreign, "sess_" + "0" * 32, "nonsense")
    ]

    assert answers == [404, 404, 404]
    assert live.introspect(tokens["access_token"], basic)["active"]


def test_another_session_of_ones_own_is_ended(live: Live, owner: Person) -> None:
    """A login elsewhere shows on the page, and ends from here."""
    elsewhere = Person(live, owner.login)
    elsewhere.log_in(elsewhere.open("/account"))
    eventually(lambda: "Another browser or device" in owner.open("/account").text)
    page = owner.open("/account")
    other = page.text.split("Another browser or device")[1]
    session_id = other.split('name="session_id" value="')[1].split('"')[0]
    owner.submit(page, "/account/sessions/end", session_id=session_id)

    assert 'action="/login"' in elsewhere.open("/account").text
    assert "Your account" in owner.open("/account").text


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/account/passkeys", {"response": "{}", "label": "x"}, 400),
        ("/account/passkeys", {"label": "x"}, 400),
        ("/account/passkeys/remove", {"credential": "AAAA"}, 404),
        ("/account/passkeys/remove", {"credential": "é"}, 404),
        ("/account/consents/withdraw", {"client_id": "unknown"}, 200),
    ],
)
def test_forms_that_make_no_sense(
    owner: Person, path: str, fields: dict[str, str], status: int
) -> None:
    """Whatever is sent, the answer is a page that says so."""
    page = owner.open("/account")
    answered = owner.submit(page, path, **fields)

    assert answered.status_code == status
    assert "<html" in answered.text


@pytest.mark.parametrize(
    "path",
    [
        "/account/logout",
        "/account/sessions/end",
        "/account/consents/withdraw",
        "/account/passkeys",
        "/account/passkeys/options",
        "/account/passkeys/remove",
        "/account/password",
        "/consent",
        "/device",
        "/device/confirm",
        "/login",
        "/login/passkey",
        "/login/passkey/options",
        "/login/upstream",
        "/oauth/logout/confirm",
    ],
)
def test_every_form_needs_our_token(owner: Person, path: str) -> None:
    """No form of any page is taken without the token of this browser (CSRF)."""
    bare = owner.send("POST", path, data={"decision": "allow"})
    wrong = owner.send("POST", path, data={"csrf": "A" * 44})

    assert (bare.status_code, wrong.status_code) == (400, 400)
    assert "did not come from this page" in bare.text
    assert "Your account" in owner.open("/account").text


def test_logout_at_a_clients_wish(live: Live, owner: Person) -> None:
    """A hint for this very session ends it and leads back; an unknown address leads nowhere."""
    client = a_web_client(
        live,
        "leaving",
        redirects={
            "redirect_uris": ["https://client.example/callback"],
            "post_logout_redirect_uris": ["https://client.example/bye"],
        },
    )
    person = a_person(live, "leaver-2")
    hint = client.tokens_from(person)["id_token"]
    nowhere = person.open(
        "/oauth/logout", id_token_hint=hint, post_logout_redirect_uri="https://evil.example/"
    )
    forged = person.open("/oauth/logout", id_token_hint=hint[:-8] + "AAAAAAAA")
    done = person.open(
        "/oauth/logout",
        id_token_hint=hint,
        post_logout_redirect_uri="https://client.example/bye",
        state="s-1",
    )

    assert (nowhere.status_code, forged.status_code) == (400, 400)
    assert "location" not in nowhere.headers
    assert done.headers["location"] == "https://client.example/bye?state=s-1"
    assert 'action="/login"' in person.open("/account").text
