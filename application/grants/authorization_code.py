"""authorization_code (RFC 6749, Section 4.1.3; RFC 7636): what a person let a client do, redeemed.

1 the code carries our MAC, 2 it exists and was issued to this client, 3 it was not used before: a
code that comes again is a copy, and what it issued is revoked, 4 it has not expired, 5 the
redirect URI, where it is given, is that of the request, 6 the PKCE verifier fits the challenge,
7 `resource` equals the bound one, 8 the key is the one that the code is bound to (RFC 9449,
Section 10), 9 the session was not ended and the consent not withdrawn, the client may use the grant
and the person is active; then redemption, access token and family are recorded as one unit, and
10 the consent was not withdrawn meanwhile.

2 comes before anything changes. 3 comes before 5 and 6: whoever presents a used code without its
verifier stole it all the more.
"""

import asyncio
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

import msgspec

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import Derived, TokenKind
from application.ending import ended_family, ended_tokens
from application.errors import (
    InvalidTarget,
    OAuthError,
    UnusableGrant,
    from_domain,
)
from application.insisting import insist
from application.logins import ended_for
from application.person_tokens import (
    Behind,
    PersonService,
    Wishes,
    answer,
    authorized,
    first_tokens,
)
from application.presented_grant import Presented, use_presented
from application.request_context import RequestContext
from application.standing_consent import (
    Agreed,
    require_consent,
    require_consent_since,
    targets_for_person,
)
from application.token_response import TokenResponse
from domain.authorization_code import AuthorizationCode, CodeState
from domain.authorization_details import Details
from domain.client_configuration import AUTHORIZATION_CODE
from domain.errors import DomainError
from domain.issuing_client import Authority
from domain.recorded import Recorded
from domain.redirect_uri import target_of
from domain.refresh_token_family import RefreshTokenFamily
from domain.session import Session

GRANT_TYPE = AUTHORIZATION_CODE

__all__ = ["GRANT_TYPE", "Parameters", "handle"]

# RFC 7636, Section 4.1: code-verifier = 43*128unreserved
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Parameters(msgspec.Struct, frozen=True):
    """`redirect_uri` is None and `resource` empty where the request named none."""

    code: str
    verifier: str
    redirect_uri: str | None
    resource: tuple[str, ...]
    authorization_details: Details | None = None

    def __repr__(self) -> str:
        return f"Parameters(redirect_uri={self.redirect_uri!r})"


async def handle(
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PersonService,
) -> TokenResponse:
    """Redeem a code for an access token, and a refresh token where the client gets one.

    Raises the OAuth error of the rule that was broken, or LedgerUnavailable: then nothing is
    handed out.
    """

    async def use(code: AuthorizationCode, _: Derived) -> TokenResponse:
        if code.state is not CodeState.ISSUED:  # 3
            raise await _replay(code, context, service)
        # Redemptions of one session conflict with each other, and with its end: one at a time.
        async with service.turns.of(Session.stream(code.issued.session_id)):
            return await _redeem(code, parameters, requester, context, service)

    return await use_presented(
        Presented(parameters.code, TokenKind.CODE, "code"),  # 1
        requester,
        context,
        service,
        of=AuthorizationCode,
        client_of=lambda code: code.issued.client_id,  # 2
        issued_under=lambda code, derived: code.issued.pepper_id in ("", derived.pepper_id),
        use=use,
    )


async def _redeem(
    code: AuthorizationCode,
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PersonService,
) -> TokenResponse:
    issued, provenance = code.issued, context.provenance
    _check(code, parameters, context)  # 4 to 8
    agreed = Agreed(
        issued.client_id,
        issued.subject,
        issued.scope,
        targets_for_person(requester.client, issued.resource, service.policy),
        target_of(issued.redirect_uri),
        since=issued.timestamp,
    )
    standing = _standing_session(code, service), require_consent(agreed, service)
    session, _ = await asyncio.gather(*standing)  # 9
    authority = Authority(
        requested=issued.requested_scope,
        scope=issued.scope,
        resource=issued.resource,
        authenticated_at=issued.authenticated_at,
        authorization_details=issued.authorization_details,
    )
    wishes = Wishes(authorization_details=parameters.authorization_details)
    behind = Behind(issued.subject, issued.session_id)
    try:
        token, family = first_tokens(
            requester,
            authority,
            behind,
            context,
            grant_type=GRANT_TYPE,
            service=service,
            wishes=wishes,
        )
        given = authorized(token, family)
        code.redeem(jti=given.jti, family_id=given.family_id, provenance=provenance)
        session.authorize(given, provenance)
    except DomainError as error:
        raise from_domain(error) from error
    nonce = {} if issued.nonce is None else {"nonce": issued.nonce}
    response = answer(token, family, service, about={**nonce, "amr": issued.methods})
    unit: list[Recorded] = [code, session, token]
    await service.log.save(*unit, *([family] if family else []))
    # 10
    await require_consent_since(agreed, token, family, service=service, provenance=provenance)
    return response


def _check(code: AuthorizationCode, parameters: Parameters, context: RequestContext) -> None:
    issued = code.issued
    if context.provenance.occurred_at >= issued.expires_at:  # 4
        raise UnusableGrant(reason="code expired")
    # OAuth 2.1, Section 10.2: with PKCE the parameter adds nothing, but what is sent must fit.
    if parameters.redirect_uri not in (None, issued.redirect_uri):  # 5
        raise UnusableGrant(reason="redirect_uri differs")
    if not _fits(parameters.verifier, issued.challenge):  # 6
        raise UnusableGrant(reason="PKCE verifier does not fit")
    if parameters.resource and set(parameters.resource) != set(issued.resource):  # 7
        raise InvalidTarget("the resource is not the one that was authorized")
    if issued.confirmation not in (None, context.confirmation):  # 8
        raise UnusableGrant(reason="code bound to another key")


def _fits(verifier: str, challenge: str) -> bool:
    """RFC 7636, Section 4.6: BASE64URL-ENCODE(SHA256(ASCII(code_verifier))) == code_challenge."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


async def _standing_session(code: AuthorizationCode, service: PersonService) -> Session:
    session = await service.log.load(Session.stream(code.issued.session_id))
    if not isinstance(session, Session):
        raise UnusableGrant(reason="unknown session")
    if ended_for(session, service):
        raise UnusableGrant(reason="session ended")
    return session


async def _replay(
    used: AuthorizationCode, context: RequestContext, service: PersonService
) -> OAuthError:
    """Revoke what a used code issued and return the error to answer.

    RFC 6749, Section 4.1.2: the server "SHOULD revoke (when possible) all tokens previously issued
    based on that authorization code". Raises TemporarilyUnavailable, LedgerUnavailable.
    """
    refusal = UnusableGrant(reason="code replayed")
    if used.state is CodeState.REPLAYED:
        return refusal

    async def decide() -> Sequence[Recorded]:
        code = await service.log.load(used.id)
        if not isinstance(code, AuthorizationCode) or code.state is CodeState.REPLAYED:
            return []
        return await _ended_by_replay(code, context, service)

    # Not as one use of the code among others: what it issued may be used in a loop meanwhile.
    await insist(service.log, decide, first=await _ended_by_replay(used, context, service))
    return refusal


async def _ended_by_replay(
    code: AuthorizationCode, context: RequestContext, service: PersonService
) -> Sequence[Recorded]:
    provenance = context.provenance
    code.replay(address=context.origin.address, provenance=provenance)
    by, reason = code.issued.client_id, "its authorization code was replayed"
    unit: list[Recorded] = [code]
    family = await service.log.load(UUID(code.family_id)) if code.family_id else None
    if isinstance(family, RefreshTokenFamily):
        unit += await ended_family(family, service, by=by, reason=reason, provenance=provenance)
    elif code.jti is not None:
        unit += await ended_tokens([code.jti], service, by=by, reason=reason, provenance=provenance)
    return unit
