"""Login by name and password.

1 the throttle lets the attempt through, 2 the password is that of the person with this login name,
3 the principal is known and active. One text for every cause; 2 costs the same whether or not the
name exists, and 3 comes after it, so that only who knows the password can tell.
"""

from datetime import datetime
from typing import Protocol

from application.people.credentials import Credentials
from application.people.passwords import Passwords, PresentedPassword
from application.people.throttle import LoginThrottle
from application.ports import Directory


class LoginRefused(Exception):
    """The login failed; `reason` is for the record, `wait` the seconds until another may work."""

    def __init__(self, reason: str, *, wait: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


class _Service(Protocol):
    @property
    def credentials(self) -> Credentials: ...

    @property
    def passwords(self) -> Passwords: ...

    @property
    def throttle(self) -> LoginThrottle: ...

    @property
    def directory(self) -> Directory: ...


async def password_login(
    login: str, password: PresentedPassword, *, address: str, service: _Service, now: datetime
) -> str:
    """Return the subject that the login name and the password prove.

    Raises LoginRefused, LedgerUnavailable.
    """
    throttle = service.throttle
    wait = await throttle.seconds_to_wait(login, address=address, now=now)  # 1
    if wait:
        raise LoginRefused("throttled", wait=wait)
    # Counted before it is known: sixty guesses at once must not all be the free one.
    await throttle.failed(login, address=address, now=now)
    subject = await service.credentials.subject_of(login)
    if not await service.passwords.verify(subject, password, now=now):  # 2
        raise LoginRefused("wrong password" if subject else "unknown login name")
    person = service.directory.principal(subject) if subject else None
    if subject is None or person is None or not person.active:  # 3
        raise LoginRefused("principal unknown or deactivated")
    await throttle.succeeded(login, address=address, now=now)
    return subject
