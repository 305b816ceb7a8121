"""Token revocation (RFC 7009), for access tokens and refresh tokens, without needing the hint.

1 the caller is authenticated, 2 the token is one of ours, 3 it was issued to the caller, 4 the log
says that it was issued, exactly so (application.recorded_token): a forged token may name any `jti`,
to have others' tokens revoked; then TokenRevoked is recorded, once. A refresh token, whichever
generation of it, ends its family and the access tokens of that (Section 2.1).

What counts once in the request is used after 3, before anything is read.

A token that is not ours, expired or revoked already is answered like a success: Section 2.2
"invalid tokens do not cause an error response". Another client's token is refused, as Section 2.1
demands; the caller holds it already and learns nothing.
"""

from collections.abc import Sequence
from typing import Protocol

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import DerivedTokens, TokenKind, UnreadableToken
from application.ending import EndingService, end_family
from application.errors import InvalidGrant
from application.insisting import insist
from application.recorded_token import (
    Circumstances,
    RecordService,
    recorded_token,
    verified_token,
)
from application.request_context import RequestContext
from application.token_keys import UnverifiableToken
from domain.recorded import Recorded
from domain.refresh_token_family import RefreshTokenFamily


class _Service(EndingService, RecordService, Protocol):
    @property
    def derived(self) -> DerivedTokens: ...


async def revoke(
    token: str,
    caller: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
    *,
    descendants: bool = False,
) -> None:
    """Void `token`, with every token that descends from it where `descendants` says so.

    A refresh token always takes its family with it. Raises InvalidGrant for another client's
    token, TemporarilyUnavailable after too many lost races, LedgerUnavailable.
    """
    if token.startswith(f"{TokenKind.REFRESH}_"):
        await _revoke_family(token, caller, context, service)
        return
    presented = Circumstances.of(context, "revoke", caller.client.client_id)
    try:
        verified = verified_token(token, presented, service)  # 2
    except UnverifiableToken:
        context.once.spare()
        return
    if verified.client_id != caller.client.client_id:  # 3
        raise InvalidGrant(_ANOTHERS)
    await context.once.use()

    async def decide() -> Sequence[Recorded]:
        record = await recorded_token(verified, presented, service)  # 4
        if record is None:
            return []
        record.revoke(
            by=caller.client.client_id,
            reason="revoked by its client",
            provenance=context.provenance,
            descendants=descendants,
        )
        return [record]

    await insist(service.log, decide)


async def _revoke_family(
    token: str, caller: AuthenticatedClient, context: RequestContext, service: _Service
) -> None:
    try:
        presented = service.derived.read(TokenKind.REFRESH, token)
    except UnreadableToken:
        context.once.spare()
        return
    await context.once.use()
    family = await service.log.load(presented.stream_id)
    if not isinstance(family, RefreshTokenFamily):
        return
    if not family.derived_under(presented.generation, presented.pepper_id):
        return
    client_id = caller.client.client_id
    if family.started.client_id != client_id:
        raise InvalidGrant(_ANOTHERS)
    await end_family(
        family.id,
        service,
        by=client_id,
        reason="revoked by its client",
        provenance=context.provenance,
    )


_ANOTHERS = "the token was not issued to this client"
