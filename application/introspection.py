"""Token introspection (RFC 7662): is this token good, asked by somebody who may know.

1 the caller is an authenticated confidential client (Section 2.1), 2 the token is one of ours and
not expired, 3 the caller may see it: its own, or of an audience it serves, 4 the log says that it
was issued and not revoked, 5 its client is enabled and its owner active.

Anything else is `{"active": false}` and nothing more: Section 2.2 "the authorization server MUST
NOT provide any additional information about an inactive token". 3 comes before 4, so that a caller
cannot make us read for tokens that are none of its business. 4 reads the primary: a revocation
acknowledged anywhere is seen here.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from application.client_authentication import AuthenticatedClient
from application.errors import UnauthorizedClient
from application.ports import Clock, Directory, EventLog
from application.token_keys import UnverifiableToken, VerifiedClaims
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import ClientType

INACTIVE: Mapping[str, Any] = {"active": False}


class TokenVerifier(Protocol):
    """Tells our tokens from anything else."""

    def verify(self, token: str) -> VerifiedClaims:
        """Return the claims of a token of ours, expired or not. Raises UnverifiableToken."""


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def verifier(self) -> TokenVerifier: ...

    @property
    def clock(self) -> Clock: ...


async def introspect(
    token: str, caller: AuthenticatedClient, service: _Service
) -> Mapping[str, Any]:
    """Return the introspection response. Raises UnauthorizedClient, LedgerUnavailable."""
    require_confidential(caller)  # 1
    try:
        verified = service.verifier.verify(token)  # 2
    except UnverifiableToken:
        return INACTIVE
    if verified.expired(service.clock.now()) or not _may_see(caller.client, verified):  # 2, 3
        return INACTIVE
    if not await is_live(verified, service):  # 4, 5
        return INACTIVE
    return {"active": True, "token_type": "Bearer", **verified.claims}


def require_confidential(caller: AuthenticatedClient) -> None:
    """Raise UnauthorizedClient for a caller that could not prove who it is."""
    if caller.client.client_type is ClientType.PUBLIC:
        raise UnauthorizedClient("this endpoint needs a confidential client")


async def is_live(verified: VerifiedClaims, service: _Service) -> bool:
    """Tell whether a token of ours is issued, not revoked, and its client and owner still active.

    Raises LedgerUnavailable.
    """
    client = service.directory.client(verified.client_id)
    if client is None or not client.enabled:
        return False
    if client.owner is not None:
        owner = service.directory.principal(client.owner)
        if owner is None or not owner.active:
            return False
    record = await service.log.load(UUID(verified.token_id))
    return isinstance(record, AccessToken) and not record.revoked


def _may_see(caller: Client, verified: VerifiedClaims) -> bool:
    if verified.client_id == caller.client_id:
        return True
    return not {caller.client_id, *caller.audiences.serves}.isdisjoint(verified.audience)
