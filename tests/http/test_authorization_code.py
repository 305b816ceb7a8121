"""A person logs in, consents, and a client gets tokens: over real HTTP, by several workers."""

import re

import jwt
import pytest

from tests.http.live import Live
from tests.http.person import (
    CALLBACK,
    PASSWORD,
    Person,
    WebClient,
    a_person,
    a_web_client,
    answer,
)


@pytest.fixture(scope="module")
def alice(live: Live) -> Person:
    """A person with the role user."""
    return a_person(live, "alice")


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """A confidential client that people log in to."""
    return a_web_client(live, "shop")


def test_from_login_to_tokens(live: Live, alice: Person, shop: WebClient) -> None:
    """Login and consent lead to a code, with state and iss; the code to all three tokens."""
    page = alice.open("/oauth/authorize", **shop.parameters())
    assert "Shop &amp; Co" in page.text
    consent = alice.log_in(page)
    assert "client.example" in consent.text
    told = answer(alice.allow(consent))
    tokens = shop.redeem(told["code"]).json()
    keys = jwt.PyJWKClient(f"{live.service.url}/oauth/jwks.json")
    identity = jwt.decode(
        tokens["id_token"],
        keys.get_signing_key_from_jwt(tokens["id_token"]).key,
        algorithms=["ES256"],
        audience="shop",
        issuer=live.service.url,
    )
    access = live.introspect(tokens["access_token"], (shop.client_id, shop.secret))

    assert (told["state"], told["iss"]) == ("state-1", live.service.url)
    assert set(tokens) == {
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "refresh_token",
        "id_token",
    }
    assert tokens["scope"] == "user anonymous openid offline_access"
    assert (identity["sub"], identity["nonce"], identity["amr"]) == ("alice", "nonce-1", ["pwd"])
    assert identity["sid"] == access["sid"]
    assert access["active"]
    assert (access["sub"], access["roles"]) == ("alice", ["user", "anonymous"])
    assert access["auth_time"] == identity["auth_time"]


def test_userinfo_knows_the_person(live: Live, alice: Person, shop: WebClient) -> None:
    """The userinfo endpoint tells the subject, and the login name with the scope profile."""
    tokens = shop.tokens_from(alice, scope="openid profile")
    told = live.http.get(
        "/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )

    assert told.json() == {"sub": "alice", "preferred_username": "alice"}


def test_consent_is_remembered(alice: Person, shop: WebClient) -> None:
    """A second request for the same leads to a code without a page."""
    shop.tokens_from(alice)

    assert "code" in answer(alice.open("/oauth/authorize", **shop.parameters()))


def test_more_scope_is_asked_about(live: Live, alice: Person) -> None:
    """More than was consented to is asked about; with prompt=none it is an error."""
    client = a_web_client(live, "greedy")
    client.tokens_from(alice, scope="openid")
    asked = alice.open("/oauth/authorize", **client.parameters(scope="openid mcp"))
    silent = alice.open("/oauth/authorize", **client.parameters(scope="mcp", prompt="none"))

    assert 'action="/consent"' in asked.text
    assert answer(silent)["error"] == "consent_required"


def test_prompt_none_without_a_login(live: Live, shop: WebClient) -> None:
    """Nobody logged in and no page wanted: login_required."""
    nobody = Person(live, "nobody")

    assert answer(nobody.open("/oauth/authorize", **shop.parameters(prompt="none")))["error"] == (
        "login_required"
    )


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"max_age": "0"}])
def test_a_new_login_is_asked_for(alice: Person, shop: WebClient, wish: dict[str, str]) -> None:
    """prompt=login and max_age=0 lead to the login page once, and on from there."""
    shop.tokens_from(alice)
    page = alice.open("/oauth/authorize", **shop.parameters(**wish))
    after = alice.log_in(page)

    assert 'action="/login"' in page.text
    assert "code" in answer(after)


def test_denied_consent_goes_to_the_client(live: Live, alice: Person) -> None:
    """A no on the consent page reaches the client as access_denied."""
    client = a_web_client(live, "unwanted")
    page = alice.open("/oauth/authorize", **client.parameters())
    if 'action="/login"' in page.text:
        page = alice.log_in(page)
    told = answer(alice.submit(page, "/consent", decision="deny"))

    assert (told["error"], told["state"]) == ("access_denied", "state-1")
    assert "code" not in told


def test_form_post(alice: Person, shop: WebClient) -> None:
    """response_mode=form_post answers with a form that goes to the client, and may go there."""
    shop.tokens_from(alice)
    page = alice.open("/oauth/authorize", **shop.parameters(response_mode="form_post"))

    assert f'action="{CALLBACK}"' in page.text
    assert 'name="code"' in page.text
    assert "form-action 'self' https:;" in page.headers["content-security-policy"]


def test_a_pushed_request_is_good_once(live: Live, alice: Person, shop: WebClient) -> None:
    """A pushed request leads to a code, and its request_uri works one time."""
    pushed = live.http.post(
        "/oauth/par", auth=(shop.client_id, shop.secret), data=shop.parameters()
    )
    reference = {"client_id": shop.client_id, "request_uri": pushed.json()["request_uri"]}
    page = alice.open("/oauth/authorize", **reference)
    if page.status_code == 200:
        page = alice.allow(alice.log_in(page))
    again = alice.open("/oauth/authorize", **reference)

    assert (pushed.status_code, pushed.json()["expires_in"]) == (201, 90)
    assert "code" in answer(page)
    assert again.status_code == 400


def test_a_client_may_require_pushing(live: Live, alice: Person) -> None:
    """A client that requires pushed requests gets an error for one that was not."""
    client = a_web_client(
        live,
        "pushing",
        redirects={
            "redirect_uris": [CALLBACK],
            "require_pushed_authorization_requests": True,
        },
    )

    assert answer(alice.open("/oauth/authorize", **client.parameters()))["error"] == (
        "invalid_request"
    )


SHOWN = [
    ("unknown client", {"client_id": "nobody"}),
    ("no client", {"client_id": None}),
    ("another redirect URI", {"redirect_uri": "https://evil.example/callback"}),
    ("a longer path", {"redirect_uri": CALLBACK + "/x"}),
    ("a query added", {"redirect_uri": CALLBACK + "?x=1"}),
    ("another scheme", {"redirect_uri": "http://client.example/callback"}),
    ("a look-alike host", {"redirect_uri": "https://client.example.evil.example/callback"}),
    ("unknown request_uri", {"request_uri": "urn:ietf:params:oauth:request_uri:x"}),
    ("foreign request_uri", {"request_uri": "https://evil.example/request.jwt"}),
]


@pytest.mark.parametrize(("case", "changes"), SHOWN, ids=[case for case, _ in SHOWN])
def test_nobody_is_redirected(
    alice: Person, shop: WebClient, case: str, changes: dict[str, str | None]
) -> None:
    """What does not prove where the answer may go is shown to the person, never redirected."""
    page = alice.open("/oauth/authorize", **shop.parameters(**changes))

    assert page.status_code == 400
    assert "location" not in page.headers
    assert "evil.example" not in page.text


TOLD = [
    ("no PKCE", {"code_challenge": None}, "invalid_request"),
    ("plain PKCE", {"code_challenge_method": "plain"}, "invalid_request"),
    ("PKCE method left out", {"code_challenge_method": None}, "invalid_request"),
    ("short challenge", {"code_challenge": "abc"}, "invalid_request"),
    ("implicit", {"response_type": "token"}, "unsupported_response_type"),
    ("hybrid", {"response_type": "code id_token"}, "unsupported_response_type"),
    ("no response type", {"response_type": None}, "unsupported_response_type"),
    ("fragment mode", {"response_mode": "fragment"}, "invalid_request"),
    ("request object", {"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    ("no scope", {"scope": None}, "invalid_scope"),
    ("unknown scope", {"scope": "openid root"}, "invalid_scope"),
    ("scope of the role admin", {"scope": "admin"}, "invalid_scope"),
    ("foreign resource", {"resource": "https://elsewhere.example"}, "invalid_target"),
    ("resource with fragment", {"resource": "https://api.example#x"}, "invalid_target"),
    ("unknown prompt", {"prompt": "create"}, "invalid_request"),
    ("none and login", {"prompt": "none login"}, "invalid_request"),
    ("max_age is no number", {"max_age": "-1"}, "invalid_request"),
    ("foreign hint", {"id_token_hint": "x.y.z"}, "invalid_request"),
]


@pytest.mark.parametrize(("case", "changes", "error"), TOLD, ids=[case for case, _, _ in TOLD])
def test_the_client_is_told(
    alice: Person, shop: WebClient, case: str, changes: dict[str, str | None], error: str
) -> None:
    """Everything else goes to the verified redirect URI as an error, with state and iss."""
    shop.tokens_from(alice)
    told = answer(alice.open("/oauth/authorize", **shop.parameters(**changes)))

    assert (told["error"], told["state"]) == (error, "state-1")
    assert "iss" in told
    assert "code" not in told


REDEMPTIONS = [
    ("wrong verifier", {"code_verifier": "x" * 43}),
    ("short verifier", {"code_verifier": "x"}),
    ("another redirect URI", {"redirect_uri": "https://client.example/other"}),
    ("forged code", {"code": "glc_" + "A" * 76}),
    ("no code of ours", {"code": "x"}),
]


@pytest.mark.parametrize(("case", "changes"), REDEMPTIONS, ids=[c for c, _ in REDEMPTIONS])
def test_a_refused_redemption_leaves_the_code(
    alice: Person, shop: WebClient, case: str, changes: dict[str, str]
) -> None:
    """Whoever lacks verifier or redirect URI is refused, one text for all, and burns nothing."""
    code = shop.code_from(alice)
    refused = shop.ask(
        "authorization_code",
        **{"code": code, "code_verifier": shop.verifier, "redirect_uri": CALLBACK, **changes},
    )

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert refused.json()["error_description"] == (
        "the grant is invalid, expired, revoked or not this client's"
    )
    assert shop.redeem(code).status_code == 200


def test_another_client_cannot_redeem(live: Live, alice: Person, shop: WebClient) -> None:
    """A code is its client's alone, and another one that tries moves nothing."""
    thief = a_web_client(live, "thief")
    thief.verifier = shop.verifier
    code = shop.code_from(alice)

    assert thief.redeem(code).json()["error"] == "invalid_grant"
    assert shop.redeem(code).status_code == 200


def test_a_replayed_code_revokes_what_it_issued(live: Live, alice: Person, shop: WebClient) -> None:
    """A code that comes again is refused, and all it issued is void at once."""
    code = shop.code_from(alice)
    tokens = shop.redeem(code).json()
    replayed = shop.redeem(code)
    basic = (shop.client_id, shop.secret)

    assert replayed.json()["error"] == "invalid_grant"
    assert live.introspect(tokens["access_token"], basic) == {"active": False}
    assert live.introspect(tokens["refresh_token"], basic) == {"active": False}
    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_public_client(live: Live, alice: Person) -> None:
    """A public client redeems and refreshes with PKCE and its name, on a loopback port."""
    native = a_web_client(
        live,
        "native",
        client_type="public",
        redirects={"redirect_uris": ["http://127.0.0.1/callback"]},
    )
    redirect_uri = "http://127.0.0.1:51823/callback"
    page = alice.open("/oauth/authorize", **native.parameters(redirect_uri=redirect_uri))
    if 'action="/login"' in page.text:
        page = alice.log_in(page)
    location = alice.allow(page).headers["location"]
    code = location.split("code=")[1].split("&")[0]
    tokens = native.redeem(code, redirect_uri=redirect_uri).json()

    assert location.startswith(redirect_uri)
    assert native.refresh(tokens["refresh_token"]).status_code == 200


def test_wrong_password_and_unknown_login_read_the_same(live: Live, shop: WebClient) -> None:
    """Nobody learns from the login page which names exist."""
    a_person(live, "known")
    answers = []
    for name in ("known", "unknown"):
        visitor = Person(live, name)
        page = visitor.log_in(visitor.open("/login"), password="not the password")
        answers.append((page.status_code, page.text.replace(name, "")))

    texts = {_stable(text) for _, text in answers}
    assert [status for status, _ in answers] == [401, 401]
    assert len(texts) == 1


def _stable(text: str) -> str:
    return re.sub(r'value="[^"]*"', "", text)


def test_a_form_from_elsewhere_is_refused(live: Live) -> None:
    """A login without our token, or from another origin, is refused and logs nobody in."""
    a_person(live, "target")
    visitor = Person(live, "target")
    page = visitor.open("/login")
    form = {"login": "target", "password": PASSWORD}
    bare = visitor.send("POST", "/login", data=form)
    foreign = visitor.send(
        "POST",
        "/login",
        data={**form, "csrf": page.text.split('name="csrf" value="')[1].split('"')[0]},
        headers={"Origin": "https://evil.example"},
    )

    assert {bare.status_code, foreign.status_code} == {400}
    assert "set-cookie" not in foreign.headers
