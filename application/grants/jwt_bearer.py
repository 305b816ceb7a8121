"""jwt-bearer (RFC 7523, Section 2.1): a trusted issuer speaks for a person; ID-JAGs likewise.

1 the client is confidential and may use the grant, 2 the assertion is a trusted issuer's, meant for
us, not expired, and of the right media type (application.trusted_issuers), 3 it ends within the
hour, 4 an ID-JAG names this client, 5 whoever presents it holds the key that it is bound to, 6 the
person is ours and active, 7 a scope is asked for, by the request or the assertion, and narrows,
8 the target is allowed, and within the `resource` of an ID-JAG, 9 the assertion was not used
before. The token ends with the assertion, unless the deployment's policy says otherwise (RFC 7521,
Section 4.1).

9 needs no table and no look-up: the token's id is made of the assertion's issuer and `jti`. Who
uses it twice begins the same stream a second time, on whatever replica, and that is a conflict.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Protocol
from uuid import UUID

import msgspec

from application.client_authentication import AuthenticatedClient
from application.errors import UnusableAssertion, from_domain
from application.foreign_jwt import ForeignJwtRefused
from application.ledger.errors import Conflict
from application.person_tokens import PersonService, answer, authorized
from application.rate_limits import RateLimits
from application.request_context import RequestContext
from application.token_response import TokenResponse
from application.trusted_issuers import (
    PLAIN_TYPES,
    Person,
    Statement,
    TrustedIssuers,
    person_of,
    until_known,
)
from application.unverified_jwt import UnreadableJwt, read_jwt
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import AUDIENCE, JWT_BEARER
from domain.descent import Descent
from domain.errors import DomainError, ScopeNotGranted
from domain.ids import uuid7
from domain.issuance import IssueRequest
from domain.issuing_client import Authority
from domain.permissions import Catalogue, Tier
from domain.session import Session

GRANT_TYPE = JWT_BEARER
MAX_LIFETIME = timedelta(hours=1)
"""RFC 7523, Section 3: an `exp` "unreasonably far in the future" may be rejected."""
_ID_JAG_TYPES = frozenset({"oauth-id-jag+jwt"})
_METHODS = ("fed",)

__all__ = ["GRANT_TYPE", "Parameters", "handle"]


class Parameters(msgspec.Struct, frozen=True):
    """What RFC 7523, Section 2.1 names; `scope` is None where the request named none."""

    assertion: str
    scope: tuple[str, ...] | None
    audience: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Parameters(scope={self.scope!r}, audience={self.audience!r})"


class _Service(PersonService, Protocol):
    @property
    def trusted(self) -> TrustedIssuers: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def rate_limits(self) -> RateLimits: ...


@dataclass(frozen=True, slots=True)
class _Assertion:
    """A verified assertion, and whom and what it stands for."""

    statement: Statement
    person: Person
    resource: tuple[str, ...]


async def handle(
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> TokenResponse:
    """Issue a token to a client that brings an assertion, in a session of its own.

    Raises the OAuth error of the rule that was broken, IssuerAway, or LedgerUnavailable: then
    nothing is handed out.
    """
    requester.require_grant(GRANT_TYPE)  # 1
    await service.rate_limits.foreign_tokens.require(requester.client, context)
    for _ in range(2):  # a newcomer may be registered by somebody else meanwhile, once
        assertion = await _believed(parameters.assertion, requester.client, context, service)
        session, token = _decided(parameters, assertion, requester, context, service)  # 7, 8
        response = answer(token, None, service, about={"amr": _METHODS})
        try:
            await service.log.save(*assertion.person.unrecorded, session, token)
        except Conflict:  # 9
            if assertion.person.newcomer:
                continue
            break
        await until_known(assertion.person)
        return response
    raise UnusableAssertion(reason="assertion used before")


async def _believed(
    value: str, client: Client, context: RequestContext, service: _Service
) -> _Assertion:
    now = context.provenance.occurred_at
    types = PLAIN_TYPES | _ID_JAG_TYPES if service.policy.id_jag else PLAIN_TYPES
    try:
        unverified = read_jwt(value)
        statement = await service.trusted.verified(  # 2
            unverified, types=types, now=now, assertion=True
        )
    except (UnreadableJwt, ForeignJwtRefused) as refused:
        raise UnusableAssertion(reason=str(refused)) from None
    if statement.expires_at > now + MAX_LIFETIME:  # 3
        raise UnusableAssertion(reason="ends too far in the future")
    resource: tuple[str, ...] = ()
    if unverified.type in _ID_JAG_TYPES:
        resource = _pinned(statement, client)
    if statement.confirmation not in (None, context.confirmation):  # 5
        raise UnusableAssertion(reason="assertion bound to a key that was not proved")
    await context.once.use()
    person = await person_of(statement, service=service, provenance=context.provenance)  # 6
    if person is None:
        raise UnusableAssertion(reason="no active principal of that name")
    return _Assertion(statement, person, resource)


def _pinned(statement: Statement, client: Client) -> tuple[str, ...]:
    """4. Return what an ID-JAG is good for; all of ours where it names nothing."""
    if statement.claims.get("client_id") != client.client_id:
        raise UnusableAssertion(reason="the ID-JAG is another client's")
    resource = statement.claims.get("resource", [])
    named = [resource] if isinstance(resource, str) else resource
    if not isinstance(named, list) or not all(map(_is_target, named)):
        raise UnusableAssertion(reason="no usable resource")
    return tuple(named)


def _is_target(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(AUDIENCE.strip("^$"), name) is not None


def _decided(
    parameters: Parameters,
    assertion: _Assertion,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> tuple[Session, AccessToken]:
    stream_id, provenance = (
        service.ids.stream_id(context.provenance.occurred_at),
        context.provenance,
    )
    session_id = Session.name_of(stream_id)
    try:
        token = _token(parameters, assertion, session_id, requester, context, service)
        session = Session.start(
            stream_id,
            subject=assertion.person.principal.subject,
            methods=_METHODS,
            # Nobody logged in here: it is there to be ended, while there is something to end.
            lifetime=token.issued.expires_at - provenance.occurred_at,
            origin=context.origin,
            provenance=provenance,
            subject_version=assertion.person.principal.version,
            pepper_id=service.derived.pepper_id,
        )
        session.authorize(authorized(token, None), provenance)
    except DomainError as error:
        raise from_domain(error) from error
    return session, token


def _token(
    parameters: Parameters,
    assertion: _Assertion,
    session_id: str,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> AccessToken:
    person = assertion.person.principal
    client, policy, statement = requester.client, service.policy, assertion.statement
    passed = _passed_on(statement, policy.catalogue)
    wanted = passed if parameters.scope is None else parameters.scope
    targets = parameters.audience or assertion.resource
    narrowing = client.authorize(
        wanted or None, targets, grant_type=GRANT_TYPE, person=person, policy=policy
    )
    within = narrowing.within(passed)
    withheld = tuple(name for name in narrowing.granted if name not in passed)
    if not within.granted:
        raise ScopeNotGranted(f"not passed on by the assertion: {' '.join(withheld)}")
    permissions = person.permissions(policy.catalogue)
    return client.issue_token_for_person(
        IssueRequest(
            token_id=_token_id(statement),
            session_id=session_id,
            scope=None,
            audience=parameters.audience,
            authentication_method=requester.method,
            credential_id=requester.credential_id,
            origin=context.origin,
            confirmation=context.confirmation,
        ),
        Authority(
            wanted,
            within.granted,
            assertion.resource or parameters.audience,
            statement.authenticated_at,
            Descent(
                lineage=(),
                actors=statement.actors,
                of_subject=passed,
                of_client=client.scopes,
                of_person=policy.catalogue.order(permissions),
                withheld=withheld,
                vouched=statement.vouched,
            ),
            ends_at=statement.expires_at if policy.within_assertion else None,
        ),
        grant_type=GRANT_TYPE,
        person=person,
        family_id=None,
        policy=policy,
        signing=service.minter.choose(client.tokens.signing_algorithm),
        provenance=context.provenance,
    )


def _passed_on(statement: Statement, catalogue: Catalogue) -> tuple[str, ...]:
    """What tells of a login is not passed on: there was none here, and no ID token tells of it."""
    known = catalogue.by_name
    return tuple(
        name for name in statement.scope if name in known and known[name].tier is not Tier.IDENTITY
    )


def _token_id(statement: Statement) -> UUID:
    """9. Return the one id that a token for this assertion can have.

    `exp` is its moment, so that the stream lies in a partition that outlives the assertion.
    """
    vouched = statement.vouched
    digest = sha256(f"{vouched.issuer}\0{vouched.jti}".encode()).digest()
    return uuid7(statement.expires_at, digest[:10])
