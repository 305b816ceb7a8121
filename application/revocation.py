"""Token revocation (RFC 7009), for JWT access tokens and without needing the hint.

1 the caller is authenticated, 2 the token is one of ours, 3 it was issued to the caller, 4 the log
says that it was issued; then TokenRevoked is recorded, once.

A token that is not ours, expired or revoked already is answered like a success: Section 2.2
"invalid tokens do not cause an error response". Another client's token is refused, as Section 2.1
demands; the caller holds it already and learns nothing.
"""

from typing import Protocol
from uuid import UUID

from application.client_authentication import AuthenticatedClient
from application.errors import InvalidGrant
from application.introspection import TokenVerifier
from application.ledger.errors import Conflict
from application.ports import EventLog
from application.request_context import RequestContext
from application.token_keys import UnverifiableToken
from domain.access_token import AccessToken


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def verifier(self) -> TokenVerifier: ...


async def revoke(
    token: str, caller: AuthenticatedClient, context: RequestContext, service: _Service
) -> None:
    """Void `token`. Raises InvalidGrant for another client's token, LedgerUnavailable."""
    try:
        verified = service.verifier.verify(token)  # 2
    except UnverifiableToken:
        return
    if verified.client_id != caller.client.client_id:  # 3
        raise InvalidGrant("the token was not issued to this client")
    record = await service.log.load(UUID(verified.token_id))  # 4
    if not isinstance(record, AccessToken):
        return
    record.revoke(
        by=caller.client.client_id, reason="revoked by its client", provenance=context.provenance
    )
    try:
        await service.log.save(record)
    except Conflict:
        # The only other fact a token's stream can hold is its revocation: somebody was faster.
        return
