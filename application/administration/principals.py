"""Register principals, assign their roles, withdraw and give back their authority."""

from typing import Protocol

from application.administration.deciding import DecidingService, begin, decide
from application.errors import InvalidRequest, from_domain
from domain.errors import DomainError
from domain.permissions import Catalogue
from domain.principal import Principal
from domain.provenance import Provenance


class _Service(DecidingService, Protocol):
    @property
    def catalogue(self) -> Catalogue: ...


async def register(
    subject: str, roles: tuple[str, ...], *, service: _Service, provenance: Provenance
) -> Principal:
    """Make a principal known.

    Raises ConflictingState for a known subject, InvalidRequest for an unknown role,
    LedgerUnavailable.
    """
    if not subject:
        raise InvalidRequest("a subject is required")
    try:
        principal = Principal.register(
            subject, roles, catalogue=service.catalogue, provenance=provenance
        )
    except DomainError as error:
        raise from_domain(error) from error
    return await begin(service.log, principal, name=subject)


async def assign_roles(
    subject: str, roles: tuple[str, ...], *, service: _Service, provenance: Provenance
) -> Principal:
    """Replace the roles of a principal. Raises NotFound, InvalidRequest, LedgerUnavailable."""

    def assign(principal: Principal) -> None:
        principal.assign_roles(roles, catalogue=service.catalogue, provenance=provenance)

    return await decide(service, Principal.stream(subject), Principal, assign, name=subject)


async def set_active(
    subject: str, *, active: bool, service: _Service, provenance: Provenance
) -> Principal:
    """Withdraw a principal's authority or give it back. Raises NotFound, LedgerUnavailable."""

    def change(principal: Principal) -> None:
        (principal.reactivate if active else principal.deactivate)(provenance)

    return await decide(service, Principal.stream(subject), Principal, change, name=subject)
