"""Who may see a page of the console.

1 the browser shows a login that we sealed, 2 its token passes what guards /audit: signature,
expiry, audience, binding, liveness (api.resource_server), 3 it was granted for a person who holds
a role that carries `audit:read`, at present, and one of `console_roles` where the settings name
any, 4 it was issued to the console, 5 the person logged in recently enough, where the settings ask
for that, 6 the token carries `audit:read`.

3 is asked for each page: a role that was taken away counts at once. It comes before 6, which a
person whose role is younger than the login fails: the next login brings it.
"""

from dataclasses import dataclass, field

from api.composition import Service
from api.console.cookies import Cookies
from api.resource_server.guard import require_recent_login
from api.visit import AnyRequest
from application.administration.console_client import CONSOLE_CLIENT
from application.errors import InsufficientScope, InvalidToken, LoginTooOld, OAuthError
from application.token_keys import VerifiedClaims
from domain.permissions import AUDIT_READ, OPENID


@dataclass(frozen=True, slots=True)
class Auditor:
    """A person who may read the audit trail; `login` is its login name."""

    subject: str
    login: str
    verified: VerifiedClaims = field(repr=False)


class NotLoggedIn(Exception):
    """The browser has to log in first; `cause` tells what was wrong with what it showed."""

    def __init__(self, cause: OAuthError | None = None) -> None:
        super().__init__("not logged in")
        self.cause = cause


class NoAuditor(InsufficientScope):
    """The person is logged in, and may not read the audit trail."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            "your account may not read the audit trail", reason="holds no role of the console"
        )
        self.subject = subject


class Gate:
    """Decides for each request; remembers nothing."""

    def __init__(self, service: Service, cookies: Cookies) -> None:
        self._service = service
        self._cookies = cookies

    async def admit(self, request: AnyRequest) -> Auditor:
        """Return who asks. Raises NotLoggedIn, NoAuditor, LedgerUnavailable."""
        login = self._cookies.login(request)
        if login is None:  # 1
            raise NotLoggedIn
        try:
            return await self.auditor(request, login.access_token)
        except (InvalidToken, LoginTooOld) as cause:
            raise NotLoggedIn(cause) from None

    async def auditor(self, request: AnyRequest, access_token: str) -> Auditor:
        """Return whom a token is about, once 2 to 5 hold.

        Raises InvalidToken, LoginTooOld, InsufficientScope, LedgerUnavailable.
        """
        service = self._service
        verified = await service.resource_server.admitted(
            request, scheme="bearer", token=access_token
        )  # 2
        subject = str(verified.claims["sub"])
        if not await self._may_read(verified):  # 3
            raise NoAuditor(subject)
        if verified.client_id != CONSOLE_CLIENT:  # 4
            raise InvalidToken("the access token is another client's", reason="another client's")
        if service.settings.protected_max_age is not None:  # 5
            require_recent_login(verified, service.settings.protected_max_age, service.clock.now())
        if not {AUDIT_READ, OPENID} <= set(verified.scope):  # 6
            raise InvalidToken("the login is older than the role", reason=f"no {AUDIT_READ}")
        logins = await service.credentials.logins_of(subject)
        return Auditor(subject, logins[0] if logins else subject, verified)

    async def _may_read(self, verified: VerifiedClaims) -> bool:
        service = self._service
        grant = await service.authority.grant_of(verified.token_id)
        if grant is None or grant.person is None:
            return False
        if await service.authority.lacking(grant, (AUDIT_READ,)):
            return False
        person, wanted = service.directory.principal(grant.person), service.settings.console_roles
        return not wanted or (person is not None and not set(wanted).isdisjoint(person.roles))
