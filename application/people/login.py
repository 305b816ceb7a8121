"""Login by name and password.

1 the throttle lets the attempt through: a browser that is known to log this account in by its own
counter, any other by the rate limit of its network and the counters of strangers, 2 the password is
that of the person with this login name, 3 the principal is known and active. One text for every
cause; 2 costs the same whether or not the name exists, and 3 comes after it, so that only who knows
the password can tell.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.people.credentials import Credentials, is_internal
from application.people.passwords import Passwords, PresentedPassword
from application.people.throttle import Attempt, LoginThrottle
from application.ports import Directory
from application.rate_limits import RateLimits
from application.request_context import RequestContext


class LoginRefused(Exception):
    """The login failed; `reason` is for the record, `wait` the seconds until another may work."""

    def __init__(self, reason: str, *, wait: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


@dataclass(frozen=True, slots=True)
class PasswordProof:
    """Who proved its password, and when that password had been set."""

    subject: str
    set_at: datetime | None


class _Service(Protocol):
    @property
    def credentials(self) -> Credentials: ...

    @property
    def passwords(self) -> Passwords: ...

    @property
    def throttle(self) -> LoginThrottle: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def rate_limits(self) -> RateLimits: ...


async def password_login(
    login: str,
    password: PresentedPassword,
    *,
    browser: str,
    context: RequestContext,
    service: _Service,
) -> PasswordProof:
    """Return whom the login name and the password prove. `browser` is its cookie.

    Raises LoginRefused, TooManyRequests, LedgerUnavailable.
    """
    now = context.provenance.occurred_at
    attempt = await _admitted(login, browser, context, service)  # 1
    if attempt.wait:
        raise LoginRefused("throttled", wait=attempt.wait)
    # The name of an upstream identity is a key of ours: no password belongs to it.
    subject = None if is_internal(login) else await service.credentials.subject_of(login)
    set_at = await service.passwords.set_at(subject)
    if not await service.passwords.verify(subject, password):  # 2
        raise LoginRefused("wrong password" if subject else "unknown login name")
    person = service.directory.principal(subject) if subject else None
    if subject is None or person is None or not person.active:  # 3
        raise LoginRefused("principal unknown or deactivated")
    await service.throttle.succeeded(attempt, now=now)
    return PasswordProof(subject, set_at)


async def _admitted(
    login: str, browser: str, context: RequestContext, service: _Service
) -> Attempt:
    now = context.provenance.occurred_at
    # First: a flood from its network must not keep a person's own browser out.
    known = await service.throttle.admit_known(login, browser=browser, now=now)
    if known is not None:
        return known
    # Before anything is hashed: argon2 costs as much for a wrong password as for the right one.
    await service.rate_limits.login.require_address(context)
    return await service.throttle.admit_stranger(
        login, network=context.network, browser=browser, now=now
    )
