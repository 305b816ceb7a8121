"""What the browser carries for the console: an attempt to log in, and then the login.

Both are sealed (application.sealing: encrypted and signed), HttpOnly, SameSite=Lax and, with https,
`__Host-` and Secure: no script reads them, no sibling domain sets them. No state of a login is in
this process, so that any process of the service answers. The access token never leaves the seal.
"""

from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar.datastructures import Cookie

from api.composition import Service
from api.visit import AnyRequest, AnyResponse
from application.administration.console_client import TOKEN_SECONDS
from application.sealing import Sealing, Unsealable

ATTEMPT_SECONDS = 1800
"""How long a person may take to log in; as long as the login page stays good."""


class Attempt(msgspec.Struct, frozen=True):
    """A login that was begun: what its answer has to fit, and where the person wanted to go."""

    state: str
    nonce: str
    verifier: str
    wanted: str

    def __repr__(self) -> str:
        return "Attempt(...)"


class Login(msgspec.Struct, frozen=True):
    """A login that was completed: the access token, and the ID token that ends the session."""

    access_token: str
    id_token: str

    def __repr__(self) -> str:
        return "Login(...)"


T = TypeVar("T", Attempt, Login)


class Cookies:
    """Reads and sets the two cookies of the console."""

    def __init__(self, service: Service) -> None:
        self._secure = urlsplit(service.settings.issuer_url).scheme == "https"
        peppers = service.peppers
        self._attempts = Sealing(peppers, purpose="console attempt", seconds=ATTEMPT_SECONDS)
        self._logins = Sealing(peppers, purpose="console login", seconds=TOKEN_SECONDS)

    def attempt(self, request: AnyRequest) -> Attempt | None:
        """Return the login that this browser began, None where there is none of ours."""
        return self._opened(request, "console_attempt", self._attempts, Attempt)

    def login(self, request: AnyRequest) -> Login | None:
        """Return the login that this browser shows, None where there is none of ours."""
        return self._opened(request, "console", self._logins, Login)

    def keep_attempt(self, response: AnyResponse, attempt: Attempt) -> None:
        """Let the browser carry an attempt."""
        sealed = self._attempts.seal(msgspec.json.encode(attempt))
        self._set(response, "console_attempt", sealed, ATTEMPT_SECONDS)

    def keep_login(self, response: AnyResponse, login: Login, *, until: int, now: datetime) -> None:
        """Let the browser carry a login until its token expires (`until`, seconds since 1970)."""
        sealed = self._logins.seal(msgspec.json.encode(login))
        self._set(response, "console", sealed, max(0, until - int(now.timestamp())))

    def forget_attempt(self, response: AnyResponse) -> None:
        """Let the browser drop its attempt: each is good for one answer."""
        self._set(response, "console_attempt", "", 0)

    def forget_login(self, response: AnyResponse) -> None:
        """Let the browser drop its login."""
        self._set(response, "console", "", 0)

    def _opened(self, request: AnyRequest, name: str, sealing: Sealing, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(
                sealing.open(request.cookies.get(self._named(name), "")), type=kind
            )
        except (Unsealable, msgspec.DecodeError):
            return None

    def _set(self, response: AnyResponse, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            Cookie(
                key=self._named(name),
                value=value,
                max_age=seconds,
                path="/",
                secure=self._secure,
                httponly=True,
                samesite="lax",
            )
        )

    def _named(self, name: str) -> str:
        return f"__Host-grantledger_{name}" if self._secure else f"grantledger_{name}"
