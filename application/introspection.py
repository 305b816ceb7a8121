"""Token introspection (RFC 7662): is this token good, asked by somebody who may know.

1 the caller is an authenticated confidential client (Section 2.1), 2 the token is one of ours and
not expired, 3 the caller may see it: its own, or of an audience it serves, 4 the log says that it
was issued, exactly so (application.recorded_token), and not revoked, 5 its key was not revoked, its
client is enabled, the person behind it, or its client's owner, active, and an issuer that vouched
for it still trusted, 6 no token that it descends from was revoked with its descendants, and 5 holds
for each, 7 `scope` is told without the management scopes that the person behind the token does not
hold now. A refresh token is seen by its own client alone.

Anything else is `{"active": false}` and nothing more: Section 2.2 "the authorization server MUST
NOT provide any additional information about an inactive token". 3 comes before 4, so that a caller
cannot make us read for tokens that are none of its business. 4 reads the primary: a revocation
acknowledged anywhere is seen here. The claims that are answered are those of the record: a token
whose payload is not the recorded one gets no answer.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import DerivedTokens, TokenKind, UnreadableToken
from application.errors import UnauthorizedClient
from application.ports import Directory, EventLog, Ids
from application.present_authority import PresentAuthority
from application.recorded_token import (
    Circumstances,
    RecordService,
    recorded_token,
    verified_token,
)
from application.request_context import RequestContext
from application.single_use import NO_NAMES, SingleUse
from application.token_keys import UnverifiableToken, VerifiedClaims
from application.token_response import token_type
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import CLIENT_CREDENTIALS, ClientType
from domain.principal import Principal
from domain.provenance import Provenance
from domain.refresh_token_family import RefreshTokenFamily
from domain.signing_key import KeyState, SigningKey
from domain.trusted_issuer import TrustedIssuer

INACTIVE: Mapping[str, Any] = {"active": False}


class LivenessService(Protocol):
    """What it takes to know whether a token is live."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def directory(self) -> Directory:
        """Clients and principals."""


class _Service(RecordService, LivenessService, Protocol):
    @property
    def ids(self) -> Ids: ...

    @property
    def derived(self) -> DerivedTokens: ...

    @property
    def authority(self) -> PresentAuthority: ...


async def introspect(
    token: str,
    caller: AuthenticatedClient,
    service: _Service,
    *,
    once: SingleUse = NO_NAMES,
    context: RequestContext | None = None,
) -> Mapping[str, Any]:
    """Return the introspection response. `once` holds what counts once in the request: a token that
    needs no look-up leaves it unused, or anybody's garbage at a resource would fill our tables.
    `context` is of the request; without it, a forged token is noted with no address.

    Raises UnauthorizedClient, the refusals of `once`, LedgerUnavailable.
    """
    require_confidential(caller)  # 1
    if token.startswith(f"{TokenKind.REFRESH}_"):
        return await _refresh_token(token, caller.client, service, once)
    presented = _circumstances(context, caller, service)
    try:
        verified = verified_token(token, presented, service)  # 2
    except UnverifiableToken:
        verified = None
    now = service.clock.now()
    if verified is None or verified.expired(now) or not may_see(caller.client, verified):  # 2, 3
        once.spare()
        return INACTIVE
    await once.use()
    record = await recorded_token(verified, presented, service)  # 4
    if record is None or not await stands(record, service):  # 4 to 6
        return INACTIVE
    kind = token_type(record.issued.confirmation)
    scope = await service.authority.scope_of(record)  # 7
    at_present = {} if scope == record.issued.scope else {"scope": " ".join(scope)}
    return {"active": True, "token_type": kind, **verified.claims, **at_present}


def _circumstances(
    context: RequestContext | None, caller: AuthenticatedClient, service: _Service
) -> Circumstances:
    client_id = caller.client.client_id
    if context is not None:
        return Circumstances.of(context, "introspect", client_id)
    provenance = Provenance(service.clock.now(), service.ids.request_id())
    return Circumstances("introspect", client_id, "", provenance)


def require_confidential(caller: AuthenticatedClient) -> None:
    """Raise UnauthorizedClient for a caller that could not prove who it is."""
    if caller.client.client_type is ClientType.PUBLIC:
        raise UnauthorizedClient("this endpoint needs a confidential client")


async def living_token(token_id: str, service: LivenessService) -> AccessToken | None:
    """Return the record of the token named `token_id` where it is live, whatever a JWT says of it.

    Raises LedgerUnavailable.
    """
    record = await service.log.load(UUID(token_id))
    return record if isinstance(record, AccessToken) and await stands(record, service) else None


async def stands(record: AccessToken, service: LivenessService) -> bool:
    """Tell whether a recorded token is not revoked, and all behind it still active.

    What stands behind its ancestors counts as well. The end of a family or a session needs no
    look-up: it revokes each of its tokens. Raises LedgerUnavailable.
    """
    if record.revoked:
        return False
    if missing_behind(record, service.directory) is not None:
        # Another replica may know somebody for a moment longer: a no is said on what is recorded.
        await service.directory.refresh()
        if missing_behind(record, service.directory) is not None:
            return False
    ancestors = await asyncio.gather(*(service.log.load(UUID(jti)) for jti in record.lineage))
    for one in ancestors:
        if not isinstance(one, AccessToken) or one.cut:
            return False
        if missing_behind(one, service.directory) is not None:
            return False
    return True


class Parties(Protocol):
    """Whom tokens stand on, as of one moment."""

    def client(self, client_id: str) -> Client | None:
        """Return the client, or None."""

    def principal(self, subject: str) -> Principal | None:
        """Return the principal, or None."""

    def issuer(self, issuer: str) -> TrustedIssuer | None:
        """Return the issuer, removed or not, or None where it never was trusted."""

    def key(self, kid: str) -> SigningKey | None:
        """Return the signing key, retired and revoked ones too, or None."""


def missing_behind(token: AccessToken, parties: Parties) -> str | None:
    """Return who stands behind a token no more, as "client demo"; None where everybody does."""
    issued = token.issued
    if key_is_revoked(issued.kid, parties):
        return f"key {issued.kid}"
    client = parties.client(issued.client_id)
    if client is None or not client.enabled:
        return f"client {issued.client_id}"
    if issued.descent is not None and issued.descent.vouched is not None:
        issuer = parties.issuer(issued.descent.vouched.issuer)
        if issuer is None or not issuer.trusted:
            return f"issuer {issued.descent.vouched.issuer}"
    if issued.grant_type == CLIENT_CREDENTIALS:
        return _missing_owner(token, client, parties)
    if issued.descent is not None and issued.owner_version is None:
        # On behalf of a machine.
        machine = parties.client(issued.subject)
        return None if machine is not None and machine.enabled else f"client {issued.subject}"
    return None if _stands(issued.subject, token, parties) else f"principal {issued.subject}"


def key_is_revoked(kid: str, parties: Parties) -> bool:
    """Tell whether the key that signed a token was revoked: then the token is void for good."""
    key = parties.key(kid)
    return key is not None and key.state is KeyState.REVOKED


def ended_with(token: AccessToken, parties: Parties) -> str | None:
    """Return whose deactivation since voided a token for good, as "principal alice"; None where
    nobody's did.
    """
    issued, client = token.issued, parties.client(token.issued.client_id)
    machine = issued.descent is not None and issued.owner_version is None
    role, subject = "principal", None if machine else issued.subject
    if issued.grant_type == CLIENT_CREDENTIALS:
        role, subject = "owner", client.owner_at(issued.client_version) if client else None
    party = parties.principal(subject) if subject is not None else None
    ended = party is not None and party.ended_since(issued.owner_version, issued.timestamp)
    return f"{role} {subject}" if ended else None


def _missing_owner(token: AccessToken, client: Client, parties: Parties) -> str | None:
    """Return which owner does not stand: the one that the token was issued under, whose it stays
    when the client is given to another, or the present one.
    """
    then = client.owner_at(token.issued.client_version)
    if then is not None and not _stands(then, token, parties):
        return f"owner {then}"
    present = parties.principal(client.owner) if client.owner is not None else None
    if client.owner is not None and (present is None or not present.active):
        return f"owner {client.owner}"
    return None


def _stands(subject: str, token: AccessToken, parties: Parties) -> bool:
    principal = parties.principal(subject)
    issued = token.issued
    return principal is not None and principal.stands_behind(issued.owner_version, issued.timestamp)


async def _refresh_token(
    token: str, caller: Client, service: _Service, once: SingleUse
) -> Mapping[str, Any]:
    try:
        presented = service.derived.read(TokenKind.REFRESH, token)
    except UnreadableToken:
        once.spare()
        return INACTIVE
    await once.use()
    family = await service.log.load(presented.stream_id)
    if not isinstance(family, RefreshTokenFamily) or family.started.client_id != caller.client_id:
        return INACTIVE
    started = family.started
    details = started.authorization_details
    person = service.directory.principal(started.subject)
    if person is None or not person.stands_behind(started.subject_version, started.timestamp):
        return INACTIVE
    current = presented.generation == family.generation
    own = family.derived_under(presented.generation, presented.pepper_id)
    if not (current and own and family.live(service.clock.now())):
        return INACTIVE
    return {
        "active": True,
        "client_id": started.client_id,
        "sub": started.subject,
        "scope": " ".join(started.scope),
        "sid": started.session_id,
        **({"cnf": started.confirmation.claim()} if started.confirmation else {}),
        **({"authorization_details": details} if details else {}),
        "iat": int(family.rotated_at.timestamp()),
        "exp": int(family.expires_at.timestamp()),
    }


def may_see(caller: Client, verified: VerifiedClaims) -> bool:
    """Tell whether a token was issued to this client or is meant for what it serves."""
    if verified.client_id == caller.client_id:
        return True
    return not {caller.client_id, *caller.audiences.serves}.isdisjoint(verified.audience)
