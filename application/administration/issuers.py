"""Trust issuers, change on which terms, trust them no more; try whether their keys can be had."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from application.administration.deciding import DecidingService, begin, decide
from application.errors import ConflictingState, InvalidRequest, NotFound, from_domain
from application.ledger.errors import StreamUnreadable
from application.outbound import OutboundError
from application.ports import Clock
from application.trusted_issuers import TrustedIssuers
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy
from domain.permissions import Catalogue
from domain.provenance import Provenance
from domain.trusted_issuer import IssuerTerms, TrustedIssuer

_log = logging.getLogger(__name__)


class _Service(DecidingService, Protocol):
    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def policy(self) -> DeploymentPolicy: ...


class _Testing(Protocol):
    @property
    def trusted(self) -> TrustedIssuers: ...

    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key that an issuer publishes and that its terms allow; `kid` "" where it has no name."""

    kid: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of fetching an issuer's keys; `problem` is None where that went well."""

    issuer: str
    keys: tuple[FoundKey, ...]
    problem: str | None


async def trust(terms: IssuerTerms, *, service: _Service, provenance: Provenance) -> TrustedIssuer:
    """Trust an issuer on these terms, whether or not it was trusted before.

    Raises InvalidRequest for an unknown role or this service itself, InvalidScope,
    ConflictingState, LedgerUnavailable.
    """
    if terms.issuer == service.policy.issuer:
        raise InvalidRequest("this service needs not trust itself")
    stream_id = TrustedIssuer.stream(terms.issuer)
    if await service.log.load(stream_id) is None:
        try:
            issuer = TrustedIssuer.add(terms, catalogue=service.catalogue, provenance=provenance)
        except DomainError as error:
            raise from_domain(error) from error
        try:
            return await begin(service.log, issuer, name=terms.issuer)
        except ConflictingState:
            pass  # somebody was faster: these terms are still the later ones

    def replace(issuer: TrustedIssuer) -> None:
        issuer.replace_terms(terms, catalogue=service.catalogue, provenance=provenance)

    return await decide(service, stream_id, TrustedIssuer, replace, name=terms.issuer)


async def trust_configured(
    wanted: Iterable[IssuerTerms], *, service: _Service, provenance: Provenance
) -> None:
    """Put the issuers of the settings into force. Raises as `trust`.

    One whose stream cannot be read stays refused; the service starts without it.
    """
    for terms in wanted:
        try:
            await trust(terms, service=service, provenance=provenance)
        except StreamUnreadable as error:
            _log.error("the issuer %s cannot be put into force: %s", terms.issuer, error)


async def remove(issuer: str, *, service: _Service, provenance: Provenance) -> TrustedIssuer:
    """Trust an issuer no more; what was issued on its word is void at once.

    Raises NotFound, TemporarilyUnavailable, LedgerUnavailable.
    """
    stream_id = TrustedIssuer.stream(issuer)
    if await service.log.load(stream_id) is None:
        raise NotFound(f"no such issuer: {issuer}")
    return await decide(
        service,
        stream_id,
        TrustedIssuer,
        lambda found: found.remove(provenance),
        name=issuer,
    )


async def test(terms: IssuerTerms, *, service: _Testing) -> Trial:
    """Fetch the keys of an issuer as a token of it would make us, and tell what came of it."""
    try:
        found = await service.trusted.usable_keys(terms, service.clock.now())
    except OutboundError as error:
        return Trial(terms.issuer, (), error.reason)
    keys = tuple(FoundKey(kid, algorithm) for kid, algorithm in found)
    return Trial(terms.issuer, keys, None if keys else "no key that the terms allow")
