"""A person with a browser, and a client that sends it to us: both speak real HTTP."""

import base64
import html
import re
import secrets
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.application.dpop_key import DpopKey
from tests.http.live import TOKEN, Live
from tests.waiting import eventually

PASSWORD = "correct horse battery staple"
CALLBACK = "https://client.example/callback"
SCOPE = "openid offline_access user"
_FIELD = re.compile(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"')


class Person:
    """Somebody whose browser keeps cookies and follows redirects within the service."""

    def __init__(self, live: Live, login: str) -> None:
        self.live = live
        self.login = login
        self.cookies = httpx.Cookies()

    def open(self, path: str, **parameters: Any) -> httpx.Response:
        """Open a page and follow redirects, until they leave the service."""
        return self._follow(self.send("GET", path, params=parameters or None))

    def submit(self, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
        """Send a form of `page` with its hidden fields and `fields`."""
        form = {**hidden_fields(page), **fields}
        return self._follow(self.send("POST", path, data=form))

    def log_in(self, page: httpx.Response, password: str = PASSWORD) -> httpx.Response:
        """Fill in the login page."""
        return self.submit(page, "/login", login=self.login, password=password)

    def allow(self, page: httpx.Response) -> httpx.Response:
        """Say yes on the consent page."""
        return self.submit(page, "/consent", decision="allow")

    def _follow(self, response: httpx.Response) -> httpx.Response:
        while response.status_code == 303 and response.headers["location"].startswith("/"):
            response = self.send("GET", response.headers["location"])
        return response

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make one request with the cookies so far, and keep those that come back."""
        url = f"{self.live.service.url}{path}"
        with httpx.Client(cookies=self.cookies, timeout=20) as browser:
            response = browser.request(method, url, **options)
            self.cookies = browser.cookies
        return response


class WebClient:
    """A client that people log in to: it makes requests, and redeems what comes back."""

    def __init__(self, live: Live, client_id: str, secret: str = "") -> None:
        self.live = live
        self.client_id = client_id
        self.secret = secret
        self.key: DpopKey | None = None
        self.verifier = secrets.token_urlsafe(32)

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """Return an authorization request; None leaves a parameter out."""
        given = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in given.items() if value is not None}

    def ask(self, grant_type: str, **form: str) -> httpx.Response:
        """Ask the token endpoint, as a public client where there is no secret."""
        return self.post(TOKEN, grant_type=grant_type, **form)

    def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form, with a proof of its key where it has one."""
        headers = {}
        if self.key is not None:
            url = f"{self.live.service.url}{path}"
            headers = {"DPoP": self.key.proof(url, datetime.now(UTC))}
        if self.secret:
            auth = (self.client_id, self.secret)
            return self.live.http.post(path, auth=auth, headers=headers, data=form)
        data = {"client_id": self.client_id, **form}
        return self.live.http.post(path, headers=headers, data=data)

    def redeem(self, code: str, **changes: str) -> httpx.Response:
        """Redeem a code."""
        form = {"code": code, "code_verifier": self.verifier, "redirect_uri": CALLBACK, **changes}
        return self.ask("authorization_code", **form)

    def refresh(self, refresh_token: str, **form: str) -> httpx.Response:
        """Use a refresh token."""
        return self.ask("refresh_token", refresh_token=refresh_token, **form)

    def code_from(self, person: Person, **changes: str | None) -> str:
        """Let `person` log in and consent where it has to, and return the code."""
        page = person.open("/oauth/authorize", **self.parameters(**changes))
        if page.status_code == 200 and 'action="/login"' in page.text:
            page = person.log_in(page)
        if page.status_code == 200 and 'action="/consent"' in page.text:
            page = person.allow(page)
        return answer(page)["code"]

    def tokens_from(self, person: Person, **changes: str | None) -> dict[str, Any]:
        """Let `person` log in, and return what the code is redeemed for."""
        response = self.redeem(self.code_from(person, **changes))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, Section 4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def hidden_fields(page: httpx.Response) -> dict[str, str]:
    """Return the fields that a page filled in already."""
    found = {name: html.unescape(value) for name, value in _FIELD.findall(page.text)}
    return {name: found[name] for name in ("csrf", "request") if name in found}


def answer(response: httpx.Response) -> dict[str, str]:
    """Return the parameters with which the browser is sent back to the client."""
    assert response.status_code == 303, response.text
    location = response.headers["location"]
    assert location.startswith(CALLBACK), location
    return dict(parse_qsl(urlsplit(location).query))


def a_person(live: Live, subject: str, *, roles: tuple[str, ...] = ("user", "anonymous")) -> Person:
    """Register a principal that logs in with its subject and PASSWORD."""
    headers = live.bearer()
    created = live.http.post(
        "/admin/principals", headers=headers, json={"subject": subject, "roles": list(roles)}
    )
    assert created.status_code == 201, created.text
    login = live.http.put(
        f"/admin/principals/{subject}/login",
        headers=headers,
        json={"login": subject, "password": PASSWORD},
    )
    assert login.status_code == 200, login.text
    return Person(live, subject)


def a_web_client(live: Live, client_id: str, **configuration: Any) -> WebClient:
    """Register a client for people, public where `client_type` says so."""
    facts = {
        "name": "Shop & Co",
        "grant_types": ["authorization_code", "refresh_token"],
        "scopes": ["openid", "profile", "offline_access", "user", "anonymous", "mcp"],
        "redirects": {"redirect_uris": [CALLBACK]},
        **configuration,
    }
    client = WebClient(live, *live.register(client_id, **facts))
    # Every worker has to have read of it: each request may meet another one.
    eventually(lambda: all(_known(live, client) for _ in range(12)))
    return client


def _known(live: Live, client: WebClient) -> bool:
    # A connection of its own: one that is kept stays with its worker.
    with httpx.Client(base_url=live.service.url) as visitor:
        answered = visitor.post(TOKEN, data={"grant_type": "none", "client_id": client.client_id})
        secret_is_asked_for = bool(client.secret) and answered.status_code == 401
        shown = visitor.get("/oauth/authorize", params={"client_id": client.client_id})
    return "not known here" not in shown.text and (
        secret_is_asked_for or answered.status_code == 400
    )
