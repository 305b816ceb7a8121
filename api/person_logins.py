"""What an administrator does about the login of a person, over HTTP and on the command line.

With another password, or none, the sessions that were begun with the old one end: who resets a
password may do so because it is known to others.
"""

from api.composition import Service
from api.ending_sessions import end_sessions_of
from api.views import PrincipalWithLogin
from application import account
from application.people.passwords import PresentedPassword
from domain.principal import Principal
from domain.provenance import Provenance


async def set_login(
    subject: str,
    login: str | None,
    password: PresentedPassword,
    *,
    service: Service,
    provenance: Provenance,
) -> PrincipalWithLogin:
    """Set what a person logs in by, and end its sessions where it had another password.

    Raises as application.account.set_login and end_sessions_of do; a second try ends what is left.
    """
    had_one = await service.credentials.password_of(subject) is not None
    principal = await account.set_login(
        subject, login, password, service=service, provenance=provenance
    )
    ended = 0
    if had_one:
        ended = await end_sessions_of(
            subject, service, reason="password reset", provenance=provenance
        )
    return _view(principal, ended)


async def forget_login(
    subject: str, *, service: Service, provenance: Provenance
) -> PrincipalWithLogin:
    """Erase what a person logs in by, and end its sessions. Raises as above."""
    principal = await account.forget_login(subject, service=service)
    ended = await end_sessions_of(subject, service, reason="login forgotten", provenance=provenance)
    return _view(principal, ended)


def _view(principal: Principal, ended: int) -> PrincipalWithLogin:
    return PrincipalWithLogin.of(principal).model_copy(update={"sessions_ended": ended})
