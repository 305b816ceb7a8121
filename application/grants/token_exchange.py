"""token-exchange (RFC 8693): a token on behalf of somebody, and the record of who acts for whom.

1 the client may use the grant and its owner is active, 2 the token types are known, 3 subject token
and actor token verify: ours, or the subject token a trusted issuer's, 4 they are live: neither they
nor an ancestor was revoked, session, clients and people stand, and the requester proved to hold the
keys that they are bound to, 5 the client is the subject token's
or in its audience, 6 the actor is the actor token's subject, or the client itself, and may act; the
actor token must be ours and have been issued to this client: what others sent it as a resource
names nobody that acts here, 7 it is nested into `act`, 8 the scopes narrow, 9 the target is
allowed, 10 nothing lives longer than what it came from, 11 what is asked for is an access token,
or, where the deployment has it, an ID-JAG for an ID token, 12 the record keeps the lineage, the
actors and what each set removed.

5 comes before 4: a client cannot make us read for tokens that are none of its business. What costs
nothing of 3 and 5 is done for both tokens before what counts once in the request is used, and that
before anything is read.
"""

from typing import Protocol

import msgspec

from application.client_authentication import AuthenticatedClient
from application.errors import InvalidRequest, InvalidTarget, UnusableToken, from_domain
from application.ledger.errors import Conflict
from application.ports import TokenMinter
from application.request_context import RequestContext
from application.subject_tokens import (
    ACCESS_TOKEN_TYPE,
    ID_TOKEN_TYPE,
    JWT_TYPE,
    SUBJECT_TOKEN_TYPES,
    SubjectService,
    living_subject,
    own_token,
    subject_token,
    verified_own_token,
)
from application.token_keys import VerifiedClaims, VerifiedIdToken
from application.token_response import TokenResponse
from application.trusted_issuers import Person, until_known
from domain.access_token import ACCESS_TOKEN, ID_JAG, AccessToken
from domain.authorization_details import Details
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE
from domain.delegation import Exchange, SubjectToken
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy, IssueRequest
from domain.principal import Principal

GRANT_TYPE = TOKEN_EXCHANGE
# draft-ietf-oauth-identity-assertion-authz-grant
ID_JAG_TYPE = "urn:ietf:params:oauth:token-type:id-jag"
ACTOR_TOKEN_TYPES = (ACCESS_TOKEN_TYPE, JWT_TYPE)

__all__ = ["ACTOR_TOKEN_TYPES", "GRANT_TYPE", "ID_JAG_TYPE", "Parameters", "handle"]


class Parameters(msgspec.Struct, frozen=True):
    """What RFC 8693, Section 2.1 names; `scope` is None where the request named none."""

    subject_token: str
    subject_token_type: str
    actor_token: str | None
    actor_token_type: str | None
    requested_token_type: str | None
    scope: tuple[str, ...] | None
    audience: tuple[str, ...]
    resource: tuple[str, ...] = ()
    authorization_details: Details | None = None

    def __repr__(self) -> str:
        return f"Parameters(scope={self.scope!r}, audience={self.audience!r})"


class _Service(SubjectService, Protocol):
    @property
    def minter(self) -> TokenMinter: ...

    @property
    def policy(self) -> DeploymentPolicy: ...


async def handle(
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> TokenResponse:
    """Exchange a token for one that says who acts.

    Raises the OAuth error of the rule that was broken, IssuerAway, or LedgerUnavailable: then
    nothing is handed out.
    """
    requester.require_grant(GRANT_TYPE)  # 1
    form = _form(parameters, service.policy)  # 2, 11
    try:
        return await _exchange(parameters, form, requester, context, service)
    except Conflict:
        # A newcomer was registered by somebody else meanwhile: now it is known.
        return await _exchange(parameters, form, requester, context, service)


async def _exchange(
    parameters: Parameters,
    form: str,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> TokenResponse:
    client = requester.client
    actor = _actor_token(parameters, client, context, service)  # 3, 5
    subject, person = await _subject(parameters, client, context, service)  # 3 to 5
    exchange = Exchange(
        subject,
        None if actor is None else await _actor(actor, client, context, service),  # 4, 6
        form=form,
        resource=parameters.resource if form == ID_JAG else (),
    )
    principal = person.principal if person else service.directory.principal(subject.subject)
    token = _decided(  # 1, 6 to 10, 12
        parameters, exchange, principal, requester, context, service
    )
    signed = service.minter.mint(token)
    await service.log.save(*(person.unrecorded if person else ()), token)
    await until_known(person)
    return TokenResponse.to(
        token, signed, issued_token_type=parameters.requested_token_type or ACCESS_TOKEN_TYPE
    )


def _form(parameters: Parameters, policy: DeploymentPolicy) -> str:
    if parameters.subject_token_type not in SUBJECT_TOKEN_TYPES:
        raise InvalidRequest("this subject_token_type is not supported")
    if (parameters.actor_token is None) != (parameters.actor_token_type is None):
        raise InvalidRequest("actor_token and actor_token_type come together")
    if parameters.actor_token_type not in (None, *ACTOR_TOKEN_TYPES):
        raise InvalidRequest("this actor_token_type is not supported")
    wanted = parameters.requested_token_type
    if wanted == ID_JAG_TYPE and policy.id_jag:
        _require_id_jag(parameters)
        return ID_JAG
    if wanted not in (None, ACCESS_TOKEN_TYPE, JWT_TYPE):
        raise InvalidRequest("this requested_token_type is not supported")
    return ACCESS_TOKEN


def _require_id_jag(parameters: Parameters) -> None:
    if parameters.subject_token_type != ID_TOKEN_TYPE or parameters.actor_token is not None:
        raise InvalidRequest("an ID-JAG is issued for an ID token alone")
    if len(parameters.audience) != 1:
        raise InvalidTarget("audience must be the issuer of one authorization server")


async def _subject(
    parameters: Parameters, client: Client, context: RequestContext, service: _Service
) -> tuple[SubjectToken, Person | None]:
    value, kind = parameters.subject_token, parameters.subject_token_type
    if parameters.requested_token_type == ID_JAG_TYPE:
        # Another issuer's people are not ours to vouch for.
        return await own_token(value, kind, client, context, service), None
    return await subject_token(value, kind, client, context, service)


def _actor_token(
    parameters: Parameters, client: Client, context: RequestContext, service: _Service
) -> VerifiedClaims | VerifiedIdToken | None:
    if parameters.actor_token is None:
        return None
    return verified_own_token(parameters.actor_token, ACCESS_TOKEN_TYPE, client, context, service)


async def _actor(
    verified: VerifiedClaims | VerifiedIdToken,
    client: Client,
    context: RequestContext,
    service: _Service,
) -> SubjectToken:
    token = await living_subject(verified, client, context, service)
    if token.client_id != client.client_id:  # 6
        raise UnusableToken(reason="the actor token is another client's")
    named = token.subject
    of_another = named != client.client_id and service.directory.client(named) is not None
    if token.for_person and of_another:
        # `act` and `may_act` name by `sub` alone: a person named like a client would act as it.
        raise UnusableToken(reason="the actor token's person has the name of another client")
    return token


def _decided(
    parameters: Parameters,
    exchange: Exchange,
    person: Principal | None,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> AccessToken:
    client, provenance = requester.client, context.provenance
    targets = parameters.audience
    if exchange.form == ACCESS_TOKEN:
        targets = (*targets, *parameters.resource)
    request = IssueRequest(
        token_id=service.ids.stream_id(provenance.occurred_at),
        session_id=exchange.subject_token.session_id,
        scope=parameters.scope,
        audience=targets,
        authentication_method=requester.method,
        credential_id=requester.credential_id,
        origin=context.origin,
        confirmation=context.confirmation,
        authorization_details=parameters.authorization_details,
    )
    try:
        return client.exchange_token(
            request,
            exchange,
            grant_type=GRANT_TYPE,
            owner=service.directory.principal(client.owner) if client.owner else None,
            person=person,
            policy=service.policy,
            signing=service.minter.choose(client.tokens.signing_algorithm),
            provenance=provenance,
        )
    except DomainError as error:
        raise from_domain(error) from error
