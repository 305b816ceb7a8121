"""refresh_token (RFC 6749, Section 6): the next access token of a grant, by rotation.

1 the token carries our MAC, 2 its family exists and was begun by this client, 3 whoever presents it
holds the key that the family is bound to, 4 what the family's state table
(domain.refresh_token_family) says: revoked, expired and late end here, 5 scope and resource only
narrow, the client may still use the grant and the person is active, 6 reuse: the family and its
access tokens are revoked, 7 rotation, use or retry, recorded with the new access token as one unit.

2 and 3 come before anything changes: another client, or somebody without the key, that holds a copy
learns and moves nothing, not even the end of the family. 6 comes before 5 in effect: a retired
token is reuse whatever else the request says. Every refusal of the token itself reads the same.
"""

from collections.abc import Sequence

import msgspec

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import Derived, TokenKind
from application.ending import ended_tokens
from application.errors import InvalidGrant, UnusableGrant, from_domain
from application.insisting import insist
from application.person_tokens import Behind, PersonService, Wishes, answer, issue_request
from application.presented_grant import Presented, use_presented
from application.request_context import RequestContext
from application.token_response import TokenResponse
from domain.access_token import AccessToken
from domain.authorization_details import Details
from domain.client_configuration import REFRESH_TOKEN
from domain.errors import DomainError, TooManyAlive
from domain.issuing_client import Authority
from domain.recorded import Recorded
from domain.refresh_token_family import IssuedToken, RefreshTokenFamily, Use

GRANT_TYPE = REFRESH_TOKEN

__all__ = ["GRANT_TYPE", "Parameters", "handle"]


class Parameters(msgspec.Struct, frozen=True):
    """`scope` is None and `resource` empty where the request named none."""

    refresh_token: str
    scope: tuple[str, ...] | None
    resource: tuple[str, ...]
    authorization_details: Details | None = None

    def __repr__(self) -> str:
        return f"Parameters(scope={self.scope!r})"


async def handle(
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PersonService,
) -> TokenResponse:
    """Issue the next access token and refresh token of a family.

    Raises the OAuth error of the rule that was broken, or LedgerUnavailable: then nothing is
    handed out.
    """

    async def use(family: RefreshTokenFamily, presented: Derived) -> TokenResponse:
        return await _use(family, presented, parameters, requester, context, service)

    def rotates(family: RefreshTokenFamily, presented: Derived) -> bool:
        now = context.provenance.occurred_at
        return family.meaning_of(presented.generation, now) is Use.ROTATE and family.has_room(now)

    return await use_presented(
        Presented(parameters.refresh_token, TokenKind.REFRESH, "refresh token"),  # 1
        requester,
        context,
        service,
        of=RefreshTokenFamily,
        client_of=lambda family: family.started.client_id,  # 2
        issued_under=lambda family, derived: family.derived_under(
            derived.generation, derived.pepper_id
        ),
        use=use,
        saves=rotates,
    )


_ENDED = {
    Use.REVOKED: "family revoked",
    Use.EXPIRED: "family expired",
    Use.LATE: "overtaken by its own retry",
}


async def _use(
    family: RefreshTokenFamily,
    presented: Derived,
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PersonService,
) -> TokenResponse:
    provenance = context.provenance
    # RFC 9449, Section 5: bound to "the respective public key"; RFC 8705, Section 4, likewise.
    if family.started.confirmation not in (None, context.confirmation):  # 3
        raise UnusableGrant(reason="refresh token bound to another key")
    _require_standing(family, service)
    use = family.meaning_of(presented.generation, provenance.occurred_at)  # 4
    if use in (Use.REVOKED, Use.EXPIRED, Use.LATE):
        raise UnusableGrant(reason=_ENDED[use])
    if use is Use.REUSE:  # 6
        raise await _reuse(family, presented, context, service)
    token = _next_token(family, parameters, requester, context, service)  # 5
    issued = IssuedToken(str(token.id), token.issued.expires_at)
    try:
        if use is Use.ROTATE and not requester.client.rotates(service.policy):  # 7
            family.use(token=issued, provenance=provenance)
        elif use is Use.ROTATE:
            family.rotate(pepper_id=service.derived.pepper_id, token=issued, provenance=provenance)
        else:
            family.retry(token=issued, provenance=provenance)
    except TooManyAlive as error:
        raise from_domain(error) from error
    try:
        response = answer(token, family, service, about={})
    except KeyError:
        raise UnusableGrant(reason="the pepper of the family is not in the settings") from None
    await service.log.save(family, token)
    return response


def _require_standing(family: RefreshTokenFamily, service: PersonService) -> None:
    started = family.started
    person = service.directory.principal(started.subject)
    if person is not None and not person.stands_behind(started.subject_version, started.timestamp):
        raise UnusableGrant(reason="person deactivated, now or since")


def _next_token(
    family: RefreshTokenFamily,
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PersonService,
) -> AccessToken:
    client, started = requester.client, family.started
    authority = Authority(
        requested=parameters.scope or started.scope,
        scope=started.scope,
        resource=started.audience,
        authenticated_at=started.authenticated_at,
        authorization_details=started.authorization_details,
        ends_at=started.expires_at,
    )
    behind = Behind(started.subject, started.session_id)
    wishes = Wishes(parameters.scope, parameters.resource, parameters.authorization_details)
    try:
        return client.issue_token_for_person(
            issue_request(requester, wishes, behind, context, service),
            authority,
            grant_type=GRANT_TYPE,
            person=service.directory.principal(started.subject),
            family_id=family.id,
            policy=service.policy,
            signing=service.minter.choose(client.tokens.signing_algorithm),
            provenance=context.provenance,
        )
    except DomainError as error:
        raise from_domain(error) from error


async def _reuse(
    family: RefreshTokenFamily, presented: Derived, context: RequestContext, service: PersonService
) -> InvalidGrant:
    """Revoke the family and return the error to answer.

    Raises TemporarilyUnavailable, LedgerUnavailable.
    """
    generation, now = presented.generation, context.provenance.occurred_at

    async def decide() -> Sequence[Recorded]:
        present = await service.log.load(family.id)
        if present.meaning_of(generation, now) is not Use.REUSE:
            return []  # it ended meanwhile
        return await _ended_by_reuse(present, presented, context, service)

    first = await _ended_by_reuse(family, presented, context, service)
    await insist(service.log, decide, first=first)
    return UnusableGrant(reason=f"reuse: generation {generation}")


async def _ended_by_reuse(
    family: RefreshTokenFamily, presented: Derived, context: RequestContext, service: PersonService
) -> Sequence[Recorded]:
    provenance = context.provenance
    alive = family.tokens_alive(provenance.occurred_at)
    family.detect_reuse(presented.generation, origin=context.origin, provenance=provenance)
    tokens = await ended_tokens(
        (token.jti for token in alive),
        service,
        by=family.started.client_id,
        reason="a retired refresh token was presented",
        provenance=provenance,
    )
    return [family, *tokens]
