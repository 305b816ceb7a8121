"""The browser of a person: its cookies, its session, and proof that a form came from our page.

1. The session cookie is HttpOnly, SameSite=Lax and, with https, `__Host-` and Secure: no script
   reads it, no other site posts with it, no sibling domain sets it.
2. Every form carries a MAC of the browser's own random cookie: a page of another site can neither
   read nor guess it (OWASP, signed double submit).
3. Where the browser names the origin or the site of a post, it must be ours.
4. A post never gets a new cookie of the browser: from another site it comes without the present
   one (SameSite=Lax), and the answer would replace it. Every form of the browser would be void
   then, and every login that it began.
5. What a person is in the middle of counts in the browser that began it alone: else a link with it
   would draw somebody into a login or a consent that an attacker began.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from litestar import Request, Response
from litestar.datastructures import Cookie

from api.composition import Service
from application.errors import AccessDenied
from application.logins import session_cookie, session_of
from domain.session import Session

_BROWSER_SECONDS = 365 * 86_400


class Browser:
    """What one request shows of its browser, and what the answer will tell it to keep."""

    def __init__(self, request: Request[Any, Any, Any], service: Service) -> None:
        self._service = service
        parts = urlsplit(service.settings.issuer_url)
        self._secure = parts.scheme == "https"
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._request_origin = request.headers.get("origin")
        self._request_site = request.headers.get("sec-fetch-site")
        self._may_keep = request.method in ("GET", "HEAD")
        cookies = request.cookies
        self._shown_session = cookies.get(self._named("session"))
        known = cookies.get(self._named("browser"), "")
        self._new = len(known) != 43
        self.id = secrets.token_urlsafe(32) if self._new else known
        self._session_value: str | None = None

    @property
    def csrf(self) -> str:
        """The value that every form of this browser carries."""
        return self._mac(self._service.derived.pepper_id)

    @property
    def mark(self) -> str:
        """What tells this browser from others, and does not give its cookie away (5)."""
        return urlsafe_b64encode(sha256(self.id.encode()).digest()).decode()

    def require_own_form(self, csrf: str | None) -> None:
        """Raise AccessDenied unless a form came from one of our pages in this browser (2, 3)."""
        presented = (csrf or "").encode()
        peppers = self._service.peppers.ids
        genuine = any(
            hmac.compare_digest(presented, self._mac(pepper_id).encode()) for pepper_id in peppers
        )
        # "null" is what a privacy setting makes of ours; the MAC has to do then.
        elsewhere = self._request_origin not in (None, "null", self._origin) or (
            self._request_site not in (None, "none", "same-origin")
        )
        if self._new or not genuine or elsewhere:
            raise AccessDenied(
                "the form did not come from this page; go back, reload it and try again",
                reason="form from elsewhere",
            )

    async def session(self) -> Session | None:
        """Return the live session that the browser shows, or None. Raises LedgerUnavailable."""
        now = self._service.clock.now()
        return await session_of(self._shown_session, now=now, service=self._service)

    def keep_session(self, session: Session) -> None:
        """Let the answer set the session cookie (1)."""
        self._session_value = session_cookie(session, self._service)

    def forget_session(self) -> None:
        """Let the answer remove the session cookie."""
        self._session_value = ""

    def settle(self, response: Response[Any]) -> Response[Any]:
        """Return the answer with the cookies that changed."""
        if self._new and self._may_keep:  # 4
            response.set_cookie(self._cookie("browser", self.id, _BROWSER_SECONDS))
        if self._session_value is not None:
            # Ends with the browser, or when its session does, whichever is sooner.
            age = None if self._session_value else 0
            response.set_cookie(self._cookie("session", self._session_value, age))
        return response

    def _cookie(self, name: str, value: str, max_age: int | None) -> Cookie:
        return Cookie(
            key=self._named(name),
            value=value,
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def _named(self, name: str) -> str:
        return f"__Host-grantledger_{name}" if self._secure else f"grantledger_{name}"

    def _mac(self, pepper_id: str) -> str:
        mac = self._service.peppers.mac(pepper_id, b"csrf\0" + self.id.encode())
        return urlsafe_b64encode(mac).decode()
