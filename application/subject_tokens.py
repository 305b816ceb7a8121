"""Tokens that are presented to be exchanged: ours, or a trusted issuer's, read and found live.

Numbers as in application.grants.token_exchange. `iss` is peeked at only to pick the path: what a
trusted issuer signed is for application.trusted_issuers to judge, anything else has to be ours.
"""

from typing import Protocol

from application.errors import UnusableToken
from application.foreign_jwt import ForeignJwtRefused
from application.introspection import LivenessService, may_see, stands
from application.ports import Ids
from application.present_authority import root_of
from application.rate_limits import RateLimits
from application.recorded_token import (
    Circumstances,
    RecordService,
    recorded_id_token,
    recorded_token,
    verified_id_token,
    verified_token,
)
from application.request_context import RequestContext
from application.token_keys import UnverifiableToken, VerifiedClaims, VerifiedIdToken
from application.trusted_issuers import (
    ACCESS_TYPES,
    PLAIN_TYPES,
    Person,
    TrustedIssuers,
    person_of,
)
from application.unverified_jwt import UnreadableJwt, UnverifiedJwt, read_jwt
from domain.access_token import AccessToken
from domain.client import Client
from domain.delegation import SubjectToken
from domain.permissions import Catalogue

# RFC 8693, Section 3
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
SUBJECT_TOKEN_TYPES = (ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE)
_FOREIGN = {
    ACCESS_TOKEN_TYPE: ACCESS_TYPES,
    JWT_TYPE: ACCESS_TYPES | PLAIN_TYPES,
    ID_TOKEN_TYPE: PLAIN_TYPES,
}


class SubjectService(RecordService, LivenessService, Protocol):
    """What it takes to judge a token that is presented."""

    @property
    def trusted(self) -> TrustedIssuers:
        """Verifies what others signed."""

    @property
    def ids(self) -> Ids:
        """Fresh names."""

    @property
    def catalogue(self) -> Catalogue:
        """The scope catalogue."""

    @property
    def rate_limits(self) -> RateLimits:
        """How often a client may have a foreign token verified."""


async def subject_token(
    value: str, kind: str, client: Client, context: RequestContext, service: SubjectService
) -> tuple[SubjectToken, Person | None]:
    """Return a token that `client` may exchange, and whom a trusted issuer says it is about.

    Raises UnusableToken, TooManyRequests, IssuerAway, LedgerUnavailable.
    """
    token = _read(value)
    if not service.trusted.speak_for(token.claims):
        return await own_token(value, kind, client, context, service), None
    await service.rate_limits.foreign_tokens.require(client, context)  # before keys are fetched
    try:
        statement = await service.trusted.verified(
            token, types=_FOREIGN[kind], now=context.provenance.occurred_at
        )
    except ForeignJwtRefused as refused:
        raise UnusableToken(reason=str(refused)) from None
    await context.once.use()
    person = await person_of(statement, service=service, provenance=context.provenance)
    if person is None:
        raise UnusableToken(reason="no active principal of that name")
    subject = SubjectToken(
        jti=None,
        subject=person.principal.subject,
        session_id=service.ids.session_id(),
        scope=statement.scope,
        expires_at=statement.expires_at,
        authenticated_at=statement.authenticated_at,
        actors=statement.actors,
        may_act=statement.may_act,
        confirmation=statement.confirmation,
        vouched=statement.vouched,
    )
    return subject, person


async def own_token(
    value: str, kind: str, client: Client, context: RequestContext, service: SubjectService
) -> SubjectToken:
    """Return a token of ours that `client` may exchange; an ID token stands for the access token
    that it came with. Raises UnusableToken, LedgerUnavailable.
    """
    token = verified_own_token(value, kind, client, context, service)  # 3, 5
    await context.once.use()
    return await living_subject(token, client, context, service)  # 4


def verified_own_token(
    value: str, kind: str, client: Client, context: RequestContext, service: SubjectService
) -> VerifiedClaims | VerifiedIdToken:
    """Return such a token after the checks that cost nothing. Raises UnusableToken."""
    verified = _of_id_token if kind == ID_TOKEN_TYPE else _of_access_token
    try:
        return verified(value, client, context, service)
    except UnverifiableToken as error:
        raise UnusableToken(reason=str(error)) from None


async def living_subject(
    token: VerifiedClaims | VerifiedIdToken,
    client: Client,
    context: RequestContext,
    service: SubjectService,
) -> SubjectToken:
    """Return what the record says of a token of ours. Raises UnusableToken, LedgerUnavailable."""
    record = await _record_of(token, Circumstances.of(context, "token", client.client_id), service)
    if not await stands(record, service):
        raise UnusableToken(reason="token revoked, or what stands behind it")
    return SubjectToken.of(record, await root_of(record, service.log))


def _read(value: str) -> UnverifiedJwt:
    try:
        return read_jwt(value)
    except UnreadableJwt as error:
        raise UnusableToken(reason=str(error)) from None


def _of_access_token(
    value: str, client: Client, context: RequestContext, service: SubjectService
) -> VerifiedClaims:
    verified = verified_token(value, Circumstances.of(context, "token", client.client_id), service)
    if verified.expired(context.provenance.occurred_at):
        raise UnusableToken(reason="token expired")
    if not may_see(client, verified):
        raise UnusableToken(reason="another client's token")
    return verified


def _of_id_token(
    value: str, client: Client, context: RequestContext, service: SubjectService
) -> VerifiedIdToken:
    presented = Circumstances.of(context, "token", client.client_id)
    verified = verified_id_token(value, presented, service)
    if verified.expired(context.provenance.occurred_at):
        raise UnusableToken(reason="ID token expired")
    if verified.claims["aud"] != client.client_id:
        raise UnusableToken(reason="another client's ID token")
    return verified


async def _record_of(
    token: VerifiedClaims | VerifiedIdToken, presented: Circumstances, service: SubjectService
) -> AccessToken:
    if isinstance(token, VerifiedIdToken):
        try:
            return await recorded_id_token(token, presented, service)
        except UnverifiableToken as error:
            raise UnusableToken(reason=str(error)) from None
    record = await recorded_token(token, presented, service)
    if record is None:
        raise UnusableToken(reason="no record says what this token says")
    return record
