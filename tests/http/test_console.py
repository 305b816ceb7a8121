"""The console over HTTP: who is let in, who is refused, and what each page shows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from api.composition import Service
from api.console.cookies import Cookies, Login
from application.settings import Settings
from projections.reports.registry import REPORTS
from tests.http.auditor import COOKIE, Auditor, an_auditor
from tests.http.live import Live
from tests.http.person import a_person, a_web_client, hidden_fields
from tests.waiting import eventually

LOGIN = "/console/login"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
NOBODY = "00000000-0000-0000-0000-000000000000"
PAGES = [
    "/console",
    "/console/tail",
    "/console/search",
    "/console/find",
    "/console/clients",
    "/console/activity",
    "/console/reports",
    "/console/events/1",
    "/console/clients/demo",
    "/console/reports/client-inventory",
    f"/console/tokens/{NOBODY}",
    f"/console/families/{NOBODY}",
]


@pytest.fixture(scope="module")
def desk(live: Live) -> Auditor:
    """An auditor who is logged in to the console."""
    auditor = an_auditor(live, "console-auditor")
    assert auditor.look("/console").status_code == 200
    return auditor


@pytest.fixture
def fresh(live: Live, request: pytest.FixtureRequest) -> Auditor:
    """An auditor of the test's own, logged in."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60].lower()
    auditor = an_auditor(live, f"fresh-{name}")
    assert auditor.look("/console").status_code == 200
    return auditor


def sent_to_log_in(response: httpx.Response) -> bool:
    """Tell whether a page let nobody in, and sent to the login instead."""
    return response.status_code == 303 and response.headers["location"].startswith(LOGIN)


def test_login_by_our_own_server(live: Live) -> None:
    """The console asks for a code with PKCE, state and nonce, and for no more than it needs."""
    auditor = an_auditor(live, "console-first")
    begun = auditor.send("GET", "/console/search", params={"subject": "a"})
    asked = auditor.send("GET", begun.headers["location"])
    sent = parse_qs(urlsplit(asked.headers["location"]).query)
    page = auditor.follow(asked)

    assert sent["scope"] == ["openid audit:read"]
    assert sent["code_challenge_method"] == ["S256"]
    assert sent["redirect_uri"] == [f"{live.service.url}/console/callback"]
    assert {"state", "nonce", "code_challenge"} <= sent.keys()
    assert page.status_code == 200
    assert "console-first" in page.text
    assert 'value="a"' in page.text  # the page that was asked for first


def test_pages_are_kept_nowhere_and_in_no_frame(desk: Auditor) -> None:
    """A page is in no cache, in no frame, tells nobody of itself, and loads from here alone."""
    headers = desk.send("GET", "/console").headers

    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'; style-src 'self'; script-src 'self'" in policy


def test_cookie_hides_the_token(live: Live) -> None:
    """The login's cookie is HttpOnly, Lax, ends with its token, and is sealed."""
    auditor = an_auditor(live, "console-cookie")
    response = auditor.send("GET", auditor.callback())
    (cookie,) = [
        line for line in response.headers.get_list("set-cookie") if line.startswith(f"{COOKIE}=")
    ]
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}

    assert {"httponly", "samesite=lax", "path=/"} <= flags
    assert any(part.startswith("max-age=") and int(part[8:]) <= 900 for part in flags)
    assert "eyJ" not in cookie
    assert len(cookie) < 4096


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_login(live: Live, path: str) -> None:
    """Each page sends a browser without a login to log in, and back to itself afterwards."""
    response = httpx.get(f"{live.service.url}{path}")

    assert sent_to_log_in(response)
    assert parse_qs(urlsplit(response.headers["location"]).query)["next"] == [path]
    assert response.headers["cache-control"] == "no-store"


def test_fragment_without_login_reloads_the_page(live: Live) -> None:
    """htmx is told to load the whole page again, which then asks for a login."""
    response = httpx.get(f"{live.service.url}/console/tail", headers={"HX-Request": "true"})

    assert (response.status_code, response.headers["hx-refresh"]) == (401, "true")
    assert response.text == ""


def test_person_without_role(live: Live) -> None:
    """Who holds no role of the console is told so, and the token that was issued is revoked."""
    nobody = an_auditor(live, "console-nobody", roles=("user",))
    response = nobody.look("/console")
    entries = live.audit(subject="console-nobody")

    assert response.status_code == 403
    assert "may not read the audit trail" in response.text
    assert COOKIE not in nobody.cookies
    assert [entry["topic"] for entry in entries[:1]] == ["token.revoked"]


def test_role_that_is_taken_away_counts_at_once(live: Live, fresh: Auditor) -> None:
    """The next page after the loss of the role is refused, whatever the token says."""
    changed = live.http.put(
        f"/admin/principals/{fresh.login}/roles", headers=live.bearer(), json={"roles": ["user"]}
    )

    assert changed.status_code == 200
    eventually(lambda: fresh.send("GET", "/console").status_code == 403)


def test_denial_is_recorded(live: Live) -> None:
    """The refusal of a person without the role is in the audit trail with its reason."""
    an_auditor(live, "console-denied", roles=("user",)).look("/console")

    def recorded() -> bool:
        return any(
            entry["reason"] == "holds no role of the console"
            and entry["detail"]["endpoint"] == "console"
            for entry in live.audit(topic="grant.denied", client_id="grantledger-console")
        )

    eventually(recorded)


def log_out(auditor: Auditor) -> httpx.Response:
    """Press the button on the page."""
    page = auditor.send("GET", "/console")
    return auditor.follow(auditor.send("POST", "/console/logout", data=hidden_fields(page)))


def test_logout_ends_everything(live: Live, fresh: Auditor) -> None:
    """After a logout neither the browser nor a copy of all its cookies gets in, nor is anybody
    logged in at the authorization server.
    """
    thief = fresh.copy()
    done = log_out(fresh)

    assert "You are logged out" in done.text
    assert sent_to_log_in(fresh.send("GET", "/console"))
    eventually(lambda: sent_to_log_in(thief.send("GET", "/console")))
    assert 'action="/login"' in thief.open("/account").text


@pytest.mark.parametrize(
    "fields", [{}, {"csrf": ""}, {"csrf": "x" * 44}], ids=["none", "empty", "wrong"]
)
def test_logout_takes_our_own_form_only(desk: Auditor, fields: dict[str, str]) -> None:
    """A form of another site logs nobody out."""
    response = desk.send("POST", "/console/logout", data=fields)

    assert response.status_code == 400
    assert desk.send("GET", "/console").status_code == 200


def test_logout_takes_the_form_of_this_browser_only(live: Live, desk: Auditor) -> None:
    """The proof that another browser's form carries is refused."""
    other = an_auditor(live, "console-other-form")
    foreign = hidden_fields(other.look("/console"))

    assert desk.send("POST", "/console/logout", data=foreign).status_code == 400


def test_logout_without_login(live: Live, desk: Auditor) -> None:
    """Whose login has ended already is logged out without a word."""
    page = desk.send("GET", "/console")
    late = desk.copy()
    late.cookies.delete(COOKIE)

    response = late.send("POST", "/console/logout", data=hidden_fields(page))

    assert response.headers["location"] == "/console/logged-out"


def test_ended_session_ends_the_console(live: Live, fresh: Auditor) -> None:
    """A session that its person ends elsewhere lets no page of the console through."""
    page = fresh.open("/account")
    fresh.submit(page, "/account/logout")

    eventually(lambda: sent_to_log_in(fresh.send("GET", "/console")))


def test_deactivated_person(live: Live, fresh: Auditor) -> None:
    """Whoever is deactivated is out at once."""
    path = f"/admin/principals/{fresh.login}/deactivate"

    assert live.http.post(path, headers=live.bearer()).status_code in (200, 204)
    eventually(lambda: sent_to_log_in(fresh.send("GET", "/console")))


def test_answer_counts_in_the_browser_that_asked(live: Live) -> None:
    """Login CSRF: an answer that somebody else's browser began logs nobody in."""
    attacker, victim = an_auditor(live, "console-attacker"), an_auditor(live, "console-victim")
    answer = attacker.callback()

    response = victim.send("GET", answer)

    assert response.status_code == 400
    assert COOKIE not in victim.cookies


def test_answer_to_another_login_of_the_victim(live: Live) -> None:
    """Login CSRF against somebody who is logging in at the moment: the state differs."""
    attacker, victim = an_auditor(live, "console-attacker-2"), an_auditor(live, "console-victim-2")
    victim.send("GET", LOGIN)

    response = victim.send("GET", attacker.callback())

    assert response.status_code == 400
    assert COOKIE not in victim.cookies


def test_code_of_another_login(live: Live) -> None:
    """A code that is injected under the right state does not fit the verifier."""
    attacker, victim = an_auditor(live, "console-attacker-3"), an_auditor(live, "console-victim-3")
    stolen = parse_qs(urlsplit(attacker.callback()).query)["code"][0]
    own = urlsplit(victim.callback())
    mixed = {name: values[0] for name, values in parse_qs(own.query).items()} | {"code": stolen}

    response = victim.send("GET", f"{own.path}?{urlencode(mixed)}")

    assert response.status_code == 400
    assert COOKIE not in victim.cookies


@pytest.mark.parametrize(
    "change",
    [
        {"state": None},
        {"state": "another"},
        {"iss": None},
        {"iss": "https://evil.example"},
        {"code": None},
        {"code": "glc_x"},
        {"error": "access_denied"},
    ],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items()),
)
def test_answers_that_do_not_count(
    live: Live, desk: Auditor, change: dict[str, str | None]
) -> None:
    """An answer without the right state, issuer and code logs nobody in, now or later."""
    browser = desk.copy()
    browser.cookies.delete(COOKIE)
    answer = urlsplit(browser.callback())
    given = {name: values[0] for name, values in parse_qs(answer.query).items()}
    wrong = {name: text for name, text in {**given, **change}.items() if text is not None}

    response = browser.send("GET", f"{answer.path}?{urlencode(wrong)}")
    again = browser.send("GET", f"{answer.path}?{answer.query}")

    assert (response.status_code, again.status_code) == (400, 400)
    assert COOKIE not in browser.cookies


def test_answer_counts_once(live: Live) -> None:
    """The same answer a second time logs nobody in."""
    auditor = an_auditor(live, "console-twice")
    answer = auditor.callback()
    first = auditor.send("GET", answer)

    assert first.status_code == 303
    assert auditor.send("GET", answer).status_code == 400


def test_code_is_of_no_use_to_its_person(live: Live) -> None:
    """A person cannot take the token out of the console: its code is redeemed by nobody else."""
    person = an_auditor(live, "console-taker", roles=("user",))
    code = parse_qs(urlsplit(person.callback()).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": "v" * 43}

    for secret in (None, "", "gls_guessed"):
        named = {"client_id": "grantledger-console"}
        given = named if secret is None else {**named, "client_secret": secret}
        refused = live.http.post("/oauth/token", data={**form, **given})
        assert refused.json()["error"] in ("invalid_client", "invalid_request"), refused.text


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/console/../admin",
        "/console//evil.example",
        "/consoleevil",
        "/console@evil.example",
        "javascript:alert(1)",
        "/console?next=https://evil.example",
        "/console/login",
        "/console/callback?code=1",
    ],
)
def test_next_stays_in_the_console(live: Live, desk: Auditor, wanted: str) -> None:
    """Whatever the link says, a login ends on a page of the console."""
    browser = desk.copy()
    callback = browser.callback(f"{LOGIN}?{urlencode({'next': wanted})}")
    where = browser.send("GET", callback).headers["location"]

    assert where == "/console"


@dataclass(frozen=True)
class Forged:
    """Seals cookies as the service does: with its secrets, which nobody else has."""

    cookies: Cookies
    live: Live

    def open(self, access_token: str) -> httpx.Response:
        """Open a page with a sealed cookie that holds `access_token`."""
        sealed = self.cookies._logins.seal(
            json.dumps({"access_token": access_token, "id_token": ""}).encode()
        )
        return httpx.get(f"{self.live.service.url}/console", cookies={COOKIE: sealed})


@pytest.fixture(scope="module")
def forged(live: Live) -> Forged:
    """A forger who has the secrets of the service."""
    settings = Settings(data_dir=live.service.data_dir)
    return Forged(Cookies(Service(settings, live.database_url)), live)


def machine(live: Live) -> str:
    """A token with audit:read that a client got for itself."""
    return live.token(live.register("console-machine", scopes=["audit:read"]))


def unscoped(live: Live) -> str:
    """A token without audit:read, which is for others."""
    return live.token()


@pytest.mark.parametrize(
    ("token_of", "status"),
    [(machine, 403), (unscoped, 303), (lambda _: "x.y.z", 303), (lambda _: "", 303)],
    ids=["a machine's", "for others", "no token", "empty"],
)
def test_even_a_sealed_cookie_is_verified(
    live: Live, forged: Forged, token_of: Callable[[Live], str], status: int
) -> None:
    """What is in the cookie passes what guards /audit, or opens nothing."""
    assert forged.open(token_of(live)).status_code == status


def test_expired_token(live: Live, forged: Forged) -> None:
    """A token that has expired opens nothing, and the browser is sent to log in again."""
    client = live.register("console-brief", scopes=["audit:read"], tokens={"lifetime": 1})
    token = live.token(client)

    eventually(lambda: forged.open(token).status_code == 303)


@pytest.mark.parametrize("value", ["", "x", "gAAAAA", "\u00e9".encode().decode("latin-1")])
def test_cookie_that_we_did_not_seal(live: Live, value: str) -> None:
    """A cookie that does not open is no login."""
    headers = {b"Cookie": f"{COOKIE}={value}".encode("latin-1")}

    assert sent_to_log_in(httpx.get(f"{live.service.url}/console", headers=headers))


def test_search_by_every_filter(live: Live, desk: Auditor) -> None:
    """Filters narrow together, and each is kept in the form."""
    secret = live.register("console-searched", name="Searched", scopes=["service"])
    live.token(secret)
    live.ask_token(secret, scope="admin")
    (issued,) = live.audit(client_id="console-searched", topic="token.issued")
    filters = {
        "client_id": "console-searched",
        "subject": issued["subject"],
        "jti": issued["jti"],
        "session_id": issued["session_id"],
        "grant_type": "client_credentials",
        "outcome": "success",
        "topic": "token.issued",
        "since": "2020-01-01T00:00",
        "until": "2099-01-01T00:00:00",
        "address": "127.0.0.1",
        "actor": "",
        "family_id": "",
    }
    page = desk.send("GET", "/console/search", params=filters)
    none = desk.send("GET", "/console/search", params={**filters, "outcome": "failure"})

    assert page.status_code == 200, page.text
    assert page.text.count('class="entry') == 1
    assert issued["jti"] in page.text
    assert "Nothing in the audit trail fits" in none.text


def test_search_pages(live: Live, desk: Auditor) -> None:
    """Older and newer lead through all entries without gap or repetition."""
    client = live.register("console-paged", scopes=["service"])
    for _ in range(101):
        live.token(client)
    eventually(lambda: len(live.audit(client_id="console-paged", topic="token.issued")) == 101)
    first = desk.send(
        "GET", "/console/search", params={"client_id": "console-paged", "topic": "token.issued"}
    )
    seen, page = positions(first), first
    while older := link(page, "next"):
        page = desk.send("GET", older)
        seen += positions(page)
    back = desk.send("GET", link(desk.send("GET", link(first, "next")), "prev"))

    assert len(seen) == 101
    assert seen == sorted(set(seen), reverse=True)
    assert positions(back) == positions(first)


def positions(page: httpx.Response) -> list[int]:
    """Return the positions that a page lists, in its order."""
    parts = page.text.split('<td class="position"><a href="/console/events/')[1:]
    return [int(part.split('"')[0]) for part in parts]


def link(page: httpx.Response, rel: str) -> str:
    """Return where a link of the pager leads, empty where there is none."""
    _, found, rest = page.text.partition(f'rel="{rel}" href="')
    return rest.split('"')[0].replace("&amp;", "&") if found else ""


@pytest.mark.parametrize(
    "query",
    [
        "jti=x",
        "since=yesterday",
        "until=0",
        "after=x",
        "before=-1",
        "after=99999999999999999999999",
        "subject=%00",
        "subject=a&subject=b",
        f"subject={'x' * 600}",
        "subject=%FF",
        "since=2026-13-01T00:00",
    ],
)
def test_search_for_nothing_that_could_be(desk: Auditor, query: str) -> None:
    """A filter that cannot be one is the asker's mistake, and is named to it."""
    response = desk.send("GET", f"/console/search?{query}")

    assert response.status_code == 400
    assert "This did not work" in response.text


def test_tail_brings_what_is_new(live: Live, desk: Auditor) -> None:
    """The fragment holds what was recorded since, and is empty where nothing was."""
    live.token()
    newest = live.audit(limit=1)[0]["position"]
    fragment = desk.send("GET", "/console/tail", params={"after": str(newest - 1)})

    assert positions(fragment)[-1] == newest
    assert "<html" not in fragment.text
    assert desk.send("GET", "/console/tail", params={"after": str(2**62)}).status_code == 204


@pytest.mark.parametrize("path", ["/console/events/0", "/console/events/999999999"])
def test_no_such_entry(desk: Auditor, path: str) -> None:
    """A position at which nothing is recorded is not found."""
    assert desk.send("GET", path).status_code == 404


@pytest.mark.parametrize("name", ["x", "-1", "1.5", "٣"])
def test_no_position(desk: Auditor, name: str) -> None:
    """What is no position is the asker's mistake."""
    assert desk.send("GET", f"/console/events/{name}").status_code == 400


def test_find_leads_to_what_an_id_names(live: Live, desk: Auditor) -> None:
    """One field finds positions, tokens, sessions, clients and subjects."""
    live.token()
    entry = live.audit(client_id="demo", topic="token.issued", limit=1)[0]

    def found(wanted: str) -> str:
        response = desk.send("GET", "/console/find", params={"q": wanted})
        return str(response.headers["location"])

    assert found("17") == "/console/events/17"
    assert found(entry["jti"]) == f"/console/tokens/{entry['jti']}"
    assert found("demo") == "/console/clients/demo"
    assert found(entry["session_id"]) == f"/console/search?session_id={entry['session_id']}"
    assert found(" some body ") == "/console/search?subject=some+body"
    assert found("") == "/console/search"


def test_hostile_client_name(live: Live, desk: Auditor) -> None:
    """What somebody calls a client stays a text on every page."""
    live.register("console-hostile", name="<script>alert(1)</script>", scopes=["service"])
    (entry,) = live.audit(client_id="console-hostile", topic="client.registered")
    for path in (f"/console/events/{entry['position']}", "/console/search", "/console"):
        page = desk.send("GET", path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in desk.send("GET", f"/console/events/{entry['position']}").text


def test_login_object_hides_its_tokens() -> None:
    """No token appears in a log by the way of a repr."""
    assert repr(Login("secret-1", "secret-2")) == "Login(...)"


@dataclass(frozen=True)
class Recorded:
    """Something of everything that the pages below show."""

    client_id: str
    jti: str
    family_id: str


@pytest.fixture(scope="module")
def recorded(live: Live, desk: Auditor) -> Recorded:
    """A client with a history, and a person's family whose refresh token was reused."""
    client = a_web_client(live, "console-shop", name="Shop <b>")
    changed = live.http.patch(
        "/admin/clients/console-shop",
        headers={**live.bearer(), "X-Reason": "less is more"},
        json={"scopes": ["openid", "profile", "offline_access", "user"]},
    )
    assert changed.status_code == 200, changed.text
    person = a_person(live, "console-buyer")
    first = client.tokens_from(person)
    client.refresh(client.refresh(first["refresh_token"]).json()["refresh_token"])
    client.refresh(first["refresh_token"])
    entries = live.audit(client_id="console-shop", topic="family.reuse_detected")
    (issued, *_) = live.audit(client_id="console-shop", topic="token.issued")
    return Recorded("console-shop", issued["jti"], entries[0]["family_id"])


def test_token_page(desk: Auditor, recorded: Recorded) -> None:
    """A token's page tells its facts, its state and its place in the tree."""
    page = desk.send("GET", f"/console/tokens/{recorded.jti}")

    assert page.status_code == 200, page.text
    assert "console-buyer" in page.text
    assert 'class="badge revoked"' in page.text
    assert 'aria-current="true"' in page.text
    assert f"/console/families/{recorded.family_id}" in page.text


def test_lineage_shows_who_acts_for_whom(live: Live, desk: Auditor) -> None:
    """Tokens that were exchanged stand below the one that they come from."""
    agent = live.register(
        "console-agent",
        scopes=["service"],
        grant_types=["client_credentials", TOKEN_EXCHANGE],
        audiences={"allowed": ["console-agent"], "default": ["console-agent"]},
    )
    subject_token = live.token(agent)
    exchanged = live.http.post(
        "/oauth/token",
        auth=agent,
        data={
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        },
    )
    assert exchanged.status_code == 200, exchanged.text
    child, root = live.audit(client_id="console-agent", topic="token.issued")
    page = desk.send("GET", f"/console/tokens/{root['jti']}").text

    assert page.index('<li class="d0 asked"') < page.index('<li class="d1"')
    assert f"/console/tokens/{child['jti']}" in page
    assert "2 tokens from one grant" in page


def test_family_page(desk: Auditor, recorded: Recorded) -> None:
    """A family's timeline goes from its start to the reuse that ended it."""
    page = desk.send("GET", f"/console/families/{recorded.family_id}").text
    found = desk.send("GET", "/console/find", params={"q": recorded.family_id})

    assert page.index("family.started") < page.index("family.reuse_detected")
    assert "Reuse detected" in page
    assert found.headers["location"] == f"/console/families/{recorded.family_id}"


def test_client_page_as_of(desk: Auditor, recorded: Recorded) -> None:
    """Each version of a client shows what was so then, and what that version changed; the history
    tells who and why.
    """
    path = f"/console/clients/{recorded.client_id}"
    present = desk.send("GET", path).text
    before = desk.send("GET", path, params={"version": "1"}).text

    assert "anonymous" not in present.partition('id="facts"')[2].partition("<del")[0]
    assert '<tr class="changed"><th scope="row">Scopes</th>' in present
    assert "anonymous" in before
    assert "Shop &lt;b&gt;" in before
    assert "administration" in present
    assert "as of version 1" in before


@pytest.mark.parametrize(
    "version", ["0", "999", "x", "-1", "1.5", "000000001999", "000000001" + "9" * 5000]
)
def test_no_such_version(desk: Auditor, recorded: Recorded, version: str) -> None:
    """A version that there is not is the asker's mistake."""
    path = f"/console/clients/{recorded.client_id}"

    assert desk.send("GET", path, params={"version": version}).status_code == 400


def test_list_of_clients(desk: Auditor, recorded: Recorded) -> None:
    """The list is narrowed by a part of an id or name, and says so where nothing fits."""
    narrowed = desk.send("GET", "/console/clients", params={"q": "SHOP <"}).text
    none = desk.send("GET", "/console/clients", params={"q": "nothing like it"}).text

    assert "/console/clients/console-shop" in narrowed
    assert "/console/clients/demo" not in narrowed
    assert "No client fits." in none


@pytest.mark.parametrize("window", ["1h", "24h", "7d", "30d"])
def test_activity(desk: Auditor, recorded: Recorded, window: str) -> None:
    """Charts have their numbers as a table as well."""
    page = desk.send("GET", "/console/activity", params={"window": window})

    assert page.status_code == 200
    assert "data-chart=" in page.text
    assert "The charts as a table" in page.text
    assert "console-shop" in page.text


def test_gallery_lists_every_report(desk: Auditor) -> None:
    """Each report has its card, its page and its form."""
    gallery = desk.send("GET", "/console/reports").text

    for report in REPORTS:
        assert f'href="/console/reports/{report.name}"' in gallery
        form = desk.send("GET", f"/console/reports/{report.name}")
        assert form.status_code == 200
        assert all(f'name="{one.name}"' in form.text for one in report.parameters)


def test_report_with_downloads(desk: Auditor, recorded: Recorded) -> None:
    """An answer says what of the log it rests on, and its downloads rest on the same."""
    path = "/console/reports/client-inventory"
    page = desk.send("GET", path, params={"run": "1"})
    position = page.text.partition("up to position ")[2].partition(",")[0]
    asked = {"run": "1", "as_of": position}
    csv = desk.send("GET", path, params={**asked, "format": "csv"})
    as_json = desk.send("GET", path, params={**asked, "format": "json"})
    parquet = desk.send("GET", path, params={**asked, "format": "parquet"})

    assert "/console/clients/console-shop" in page.text
    assert csv.headers["content-disposition"] == 'attachment; filename="client-inventory.csv"'
    assert csv.headers["cache-control"] == "no-store"
    assert "console-shop" in csv.text
    assert as_json.json()["as_of"]["position"] == int(position)
    assert parquet.content[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("client-inventory", "as_of=whenever"),
        ("client-inventory", "format=exe"),
        ("client-inventory", "owner=%00"),
        ("blast-radius", ""),
    ],
)
def test_report_that_cannot_be_made(desk: Auditor, path: str, query: str) -> None:
    """What a report cannot take is said beside its form."""
    response = desk.send("GET", f"/console/reports/{path}?run=1&{query}")

    assert response.status_code == 400
    assert 'role="alert"' in response.text
    assert "Run the report" in response.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/console/tokens/{NOBODY}", 404),
        (f"/console/families/{NOBODY}", 404),
        ("/console/clients/nobody", 404),
        ("/console/clients/%00", 404),
        ("/console/reports/nothing", 404),
        ("/console/tokens/x", 400),
        ("/console/families/x", 400),
        ("/console/activity?window=1y", 400),
    ],
)
def test_pages_about_nothing(desk: Auditor, path: str, status: int) -> None:
    """What is not there is not found, what could not be is a mistake, and neither is ours."""
    assert desk.send("GET", path).status_code == status


def test_reading_is_recorded(live: Live, fresh: Auditor) -> None:
    """Who read which page about what is in the audit trail; nothing that nobody declared is."""
    fresh.send("GET", "/console/search", params={"subject": "somebody", "token": "secret-of-mine"})
    fresh.send("GET", "/console/search", params={"subject": "somebody"})

    def recorded() -> bool:
        return any(
            entry["actor"] == f"{fresh.login} through grantledger-console"
            and entry["detail"]["what"] == "/console/search"
            for entry in live.audit(topic="audit.read")
        )

    eventually(recorded, seconds=10)
    (entry, *_) = [
        entry
        for entry in live.audit(topic="audit.read")
        if entry["actor"].startswith(fresh.login) and "search" in entry["detail"]["what"]
    ]
    assert entry["detail"]["via"] == "console"
    assert "subject=somebody" in json.dumps(entry)
    assert "secret-of-mine" not in json.dumps(entry)
