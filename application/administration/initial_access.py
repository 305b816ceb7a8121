"""Let others register clients: initial access tokens are issued, shown once, and revoked."""

from datetime import timedelta
from typing import Protocol

from application.administration.deciding import DecidingService, begin, decide
from application.errors import NotFound, from_domain
from application.registration.tokens import NewToken, new_initial_token
from application.secret_keys import Peppers
from domain.errors import DomainError
from domain.initial_access import InitialAccess
from domain.provenance import Provenance

DEFAULT_LIFETIME = timedelta(days=1)
MAX_LIFETIME = timedelta(days=366)


class _Service(DecidingService, Protocol):
    @property
    def peppers(self) -> Peppers: ...


async def issue(
    *,
    lifetime: timedelta = DEFAULT_LIFETIME,
    max_uses: int = 1,
    service: _Service,
    provenance: Provenance,
) -> tuple[InitialAccess, NewToken]:
    """Let whoever holds the token register `max_uses` clients within `lifetime`.

    Raises InvalidRequest for a token of no use, LedgerUnavailable.
    """
    access_id, token = new_initial_token(service.peppers)
    try:
        access = InitialAccess.issue(
            access_id,
            token.kept,
            expires_at=provenance.occurred_at + lifetime,
            max_uses=max_uses,
            provenance=provenance,
        )
    except DomainError as error:
        raise from_domain(error) from error
    await begin(service.log, access, name=access_id)
    return access, token


async def revoke(access_id: str, *, service: _Service, provenance: Provenance) -> InitialAccess:
    """Let nobody register with a token any more.

    Raises NotFound, TemporarilyUnavailable, LedgerUnavailable.
    """
    stream_id = InitialAccess.stream(access_id)
    if await service.log.load(stream_id) is None:
        raise NotFound(f"no such initial access token: {access_id}")
    return await decide(
        service,
        stream_id,
        InitialAccess,
        lambda access: access.revoke(provenance),
        name=access_id,
    )
