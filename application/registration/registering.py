"""A client registers itself (RFC 7591, Section 3).

1 registration is not closed, 2 the initial access token is good; where registration is open it may
be left out, 3 what the client says is vetted (application.registration.vetting), 4 the client, its
secret, the token that manages it and the use of the initial access token are recorded as one unit.

Who uses a token, or revokes it, has its turn in one process: 3 may ask others and comes before.
Of two that use it up at once the second finds that, or meets a conflict, and is judged anew.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from application.administration.clients import NewSecret, new_secret
from application.administration.deciding import DecidingService
from application.errors import ConflictingState, InvalidClientMetadata, InvalidToken, NotFound
from application.insisting import ATTEMPTS, stand_back
from application.ledger.errors import Conflict
from application.registration.metadata import DEFAULT_GRANT_TYPES, SECRET_METHODS
from application.registration.tokens import NewToken, initial_access, new_registration_token
from application.registration.vetting import (
    Application,
    RegistrationRules,
    VettingService,
    vetted,
)
from application.request_context import RequestContext
from application.secret_keys import Peppers
from domain.client import Client
from domain.client_configuration import ClientConfiguration, Registration
from domain.errors import DomainError
from domain.initial_access import InitialAccess
from domain.permissions import Catalogue
from domain.provenance import Provenance

_OPEN = "open registration"


class RegistrationService(VettingService, DecidingService, Protocol):
    """What it takes to register and manage clients."""

    @property
    def peppers(self) -> Peppers:
        """What verifiers are made with."""

    @property
    def catalogue(self) -> Catalogue:
        """The scopes."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A client with what is told about it this once; `secret` is None where it has none."""

    client: Client
    token: str = field(repr=False)
    secret: NewSecret | None = None


async def register(
    document: Mapping[str, Any],
    token: str | None,
    context: RequestContext,
    service: RegistrationService,
) -> Registered:
    """Register a client as it describes itself in `document`; `token` is the initial one.

    Raises NotFound where registration is closed, InvalidToken, the errors of
    `vetted`, ConflictingState after lost races, LedgerUnavailable.
    """
    require_possible(token, service.registration)  # 1
    now = context.provenance.occurred_at
    leave = await _leave(token, now, service)  # 2
    configuration = await _vetted(document, leave, now, service)  # 3
    stream_id = Client.stream(configuration.client_id) if leave is None else leave.id
    turn = service.turns.of(stream_id)
    for _ in range(ATTEMPTS):
        async with turn.queue:
            try:
                async with turn.stream:
                    leave = await _leave(token, now, service)  # 2, as of now
                    return await _record(configuration, leave, context.provenance, service)  # 4
            except Conflict as lost:
                await stand_back(lost)
    raise ConflictingState("the initial access token is being used by others; try again")


def require_possible(token: str | None, rules: RegistrationRules) -> None:
    """1. Raise NotFound where registration is closed, InvalidToken where it takes a token."""
    if rules.mode == "closed":
        raise NotFound("clients do not register themselves here")
    if token is None and rules.mode != "open":
        raise InvalidToken("an initial access token is required", reason="no token")


async def _leave(
    token: str | None, now: datetime, service: RegistrationService
) -> InitialAccess | None:
    if token is None:
        return None
    return await initial_access(token, log=service.log, peppers=service.peppers, now=now)


async def _vetted(
    document: Mapping[str, Any],
    leave: InitialAccess | None,
    now: datetime,
    service: RegistrationService,
) -> ClientConfiguration:
    limits = service.registration.limits
    application = Application(
        client_id=f"dyn-{secrets.token_hex(12)}",
        document=document,
        registration=Registration(
            source="dynamic", initial_access_id=leave.access_id if leave else None
        ),
        scopes=limits.scopes,
        grant_types=DEFAULT_GRANT_TYPES,
    )
    return await vetted(application, limits, service=service, now=now)


async def _record(
    configuration: ClientConfiguration,
    leave: InitialAccess | None,
    asked: Provenance,
    service: RegistrationService,
) -> Registered:
    provenance = by(asked, f"initial access {leave.access_id}" if leave else _OPEN)
    client = begun(configuration, service.catalogue, provenance)
    managing: NewToken = new_registration_token(service.peppers)
    client.set_registration_token(managing.kept, provenance=provenance)
    secret = with_secret(client, service.peppers, provenance)
    if leave is None:
        await service.log.save(client)
    else:
        leave.use(client.client_id, provenance)
        await service.log.save(leave, client)
    return Registered(client, managing.value, secret)


def begun(
    configuration: ClientConfiguration, catalogue: Catalogue, provenance: Provenance
) -> Client:
    """Return a client that is registered like this and not saved. Raises InvalidClientMetadata."""
    try:
        return Client.register(configuration, catalogue=catalogue, provenance=provenance)
    except DomainError as error:
        raise InvalidClientMetadata(str(error), reason="against a rule of clients") from error


def with_secret(client: Client, peppers: Peppers, provenance: Provenance) -> NewSecret | None:
    """Give a client that authenticates by secret one, where it has none that is usable."""
    by_secret = client.authentication.method in SECRET_METHODS
    if not by_secret or client.usable_secrets(provenance.occurred_at):
        return None
    secret, verifier = new_secret(peppers)
    client.add_secret(
        secret_id=secret.secret_id,
        pepper_id=peppers.current.key_id,
        verifier=verifier,
        provenance=provenance,
    )
    return secret


def by(asked: Provenance, who: str) -> Provenance:
    """Return the circumstances of a request with who acted in it."""
    return Provenance(asked.occurred_at, asked.request_id, asked.traceparent, by=who)
