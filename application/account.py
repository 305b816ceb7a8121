"""What a person does about its own account, and an administrator about a person's credentials.

The fact goes on the principal's stream, by whom and why; the credential into its table.
"""

from datetime import datetime
from hashlib import sha256
from typing import Protocol

from application.administration.deciding import DecidingService, decide_as_holder
from application.errors import ConflictingState, InvalidRequest, NotFound
from application.people.credentials import (
    UPSTREAM_PREFIX,
    Credentials,
    LoginTaken,
    is_internal,
    normal_login,
)
from application.people.passwords import (
    PasswordOvertaken,
    PasswordRefused,
    Passwords,
    PresentedPassword,
)
from application.people.upstream import upstream_login_name
from domain.principal import Principal
from domain.provenance import Provenance
from domain.visible_text import problem_with_name


class _Service(DecidingService, Protocol):
    @property
    def credentials(self) -> Credentials: ...

    @property
    def passwords(self) -> Passwords: ...


async def set_login(
    subject: str,
    login: str | None,
    password: PresentedPassword,
    *,
    service: _Service,
    provenance: Provenance,
    present: datetime | None = None,
) -> Principal:
    """Let a principal log in with `login` (None: the names it has) and `password`, in place of the
    one that was set at `present` (None: of any).

    Raises NotFound, ConflictingState for another's login name or a password that was changed
    meanwhile, InvalidRequest for a password that is too short or the name itself,
    LedgerUnavailable.
    """
    if await service.log.load(Principal.stream(subject)) is None:
        raise NotFound(f"no such principal: {subject}")
    try:
        if login is not None:
            name = normal_login(login)
            if not name:
                raise InvalidRequest("a login name is not empty")
            if (problem := problem_with_name(name)) is not None:
                raise InvalidRequest(f"a login name {problem}")
            if is_internal(login):
                raise InvalidRequest(f"a login name does not begin with {UPSTREAM_PREFIX}")
            await service.credentials.add_login(name, subject=subject)
        await service.passwords.set(subject, password, now=provenance.occurred_at, present=present)
    except (LoginTaken, PasswordOvertaken) as error:
        raise ConflictingState(str(error)) from None
    except PasswordRefused as error:
        raise InvalidRequest(str(error)) from None

    def record(principal: Principal) -> None:
        principal.password_set(provenance)

    return await decide_as_holder(
        service, Principal.stream(subject), Principal, record, name=subject
    )


async def forget_login(subject: str, *, service: _Service) -> Principal:
    """Erase what a principal logs in by. Raises NotFound, LedgerUnavailable."""
    principal = await service.log.load(Principal.stream(subject))
    if not isinstance(principal, Principal):
        raise NotFound(f"no such principal: {subject}")
    await service.credentials.forget(subject)
    return principal


async def link_identity(
    subject: str,
    upstream_subject: str,
    *,
    issuer: str,
    service: _Service,
    provenance: Provenance,
) -> Principal:
    """Let an identity at the upstream provider `issuer` log a principal in.

    Raises NotFound, ConflictingState for one that logs somebody else in, InvalidRequest without a
    provider, LedgerUnavailable.
    """
    if not issuer:
        raise InvalidRequest("no upstream provider is configured")
    if await service.log.load(Principal.stream(subject)) is None:
        raise NotFound(f"no such principal: {subject}")
    try:
        name = upstream_login_name(issuer, upstream_subject)
        await service.credentials.add_login(name, subject=subject)
    except LoginTaken:
        raise ConflictingState("the identity logs somebody else in") from None

    def record(principal: Principal) -> None:
        principal.identity_linked(issuer, provenance)

    return await decide_as_holder(
        service, Principal.stream(subject), Principal, record, name=subject
    )


async def record_passkey(
    subject: str, credential_id: bytes, *, added: bool, service: _Service, provenance: Provenance
) -> None:
    """Record that a passkey came or went. Raises NotFound, LedgerUnavailable."""
    passkey = sha256(credential_id).hexdigest()[:32]

    def record(principal: Principal) -> None:
        (principal.passkey_added if added else principal.passkey_removed)(passkey, provenance)

    await decide_as_holder(service, Principal.stream(subject), Principal, record, name=subject)
