"""token-exchange (RFC 8693): a token on behalf of somebody, and the record of who acts for whom.

1 the client may use the grant and its owner is active, 2 the token types are known, 3 subject token
and actor token are ours: signature, issuer, type, not expired, 4 they are live: neither they nor an
ancestor was revoked, session, client and person stand, 5 the client is the subject token's or in
its audience, 6 the actor is the actor token's subject, or the client itself; the actor token must
have been issued to this client: what others sent it as a resource names nobody that acts here, 7 it
is nested into `act`, 8 the scopes narrow, 9 the target is allowed, 10 nothing lives longer than
what it came from, 11 what is asked for is an access token, 12 the record keeps the lineage, the
actors and what each set removed.

5 comes before 4: a client cannot make us read for tokens that are none of its business.
"""

from dataclasses import dataclass
from typing import Protocol

from application.client_authentication import AuthenticatedClient
from application.errors import InvalidRequest, UnusableToken, from_domain
from application.introspection import TokenVerifier, living_token, may_see
from application.ports import Directory, EventLog, Ids, TokenMinter
from application.request_context import RequestContext
from application.token_keys import UnverifiableToken
from application.token_response import TokenResponse
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE
from domain.delegation import Exchange, SubjectToken
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy, IssueRequest

GRANT_TYPE = TOKEN_EXCHANGE
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # RFC 8693, 3
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
TOKEN_TYPES = (ACCESS_TOKEN_TYPE, JWT_TYPE)

__all__ = ["ACCESS_TOKEN_TYPE", "GRANT_TYPE", "JWT_TYPE", "TOKEN_TYPES", "Parameters", "handle"]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What RFC 8693, Section 2.1 names; `scope` is None where the request named none."""

    subject_token: str
    subject_token_type: str
    actor_token: str | None
    actor_token_type: str | None
    requested_token_type: str | None
    scope: tuple[str, ...] | None
    audience: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Parameters(scope={self.scope!r}, audience={self.audience!r})"


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def minter(self) -> TokenMinter: ...

    @property
    def verifier(self) -> TokenVerifier: ...

    @property
    def ids(self) -> Ids: ...

    @property
    def policy(self) -> DeploymentPolicy: ...


async def handle(
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> TokenResponse:
    """Exchange a token for one that says who acts.

    Raises the OAuth error of the rule that was broken, or LedgerUnavailable: then nothing is
    handed out.
    """
    _require_types(parameters)  # 2, 11
    client, provenance = requester.client, context.provenance
    subject_token = await _token(parameters.subject_token, client, context, service)
    actor_token = None
    if parameters.actor_token is not None:
        actor_token = await _token(parameters.actor_token, client, context, service)
        if actor_token.client_id != client.client_id:  # 6
            raise UnusableToken(reason="the actor token is another client's")
    request = IssueRequest(
        token_id=service.ids.stream_id(provenance.occurred_at),
        session_id=subject_token.session_id,
        scope=parameters.scope,
        audience=parameters.audience,
        authentication_method=requester.method,
        credential_id=requester.credential_id,
        origin=context.origin,
    )
    try:
        token = client.exchange_token(
            request,
            Exchange(subject_token, actor_token),
            grant_type=GRANT_TYPE,
            owner=service.directory.principal(client.owner) if client.owner else None,
            person=service.directory.principal(subject_token.subject),
            policy=service.policy,
            signing=service.minter.choose(client.tokens.signing_algorithm),
            provenance=provenance,
        )
    except DomainError as error:
        raise from_domain(error) from error
    signed = service.minter.mint(token)
    await service.log.save(token)
    issued = token.issued
    return TokenResponse(
        access_token=signed,
        token_type="Bearer",  # noqa: S106  # RFC 6750, the name of the scheme
        expires_in=int(issued.expires_at.timestamp()) - int(issued.timestamp.timestamp()),
        scope=" ".join(issued.scope),
        issued_token_type=parameters.requested_token_type or ACCESS_TOKEN_TYPE,
    )


def _require_types(parameters: Parameters) -> None:
    if parameters.subject_token_type not in TOKEN_TYPES:
        raise InvalidRequest("this subject_token_type is not supported")
    if (parameters.actor_token is None) != (parameters.actor_token_type is None):
        raise InvalidRequest("actor_token and actor_token_type come together")
    if parameters.actor_token_type not in (None, *TOKEN_TYPES):
        raise InvalidRequest("this actor_token_type is not supported")
    if parameters.requested_token_type not in (None, *TOKEN_TYPES):
        raise InvalidRequest("this requested_token_type is not supported")


async def _token(
    value: str, client: Client, context: RequestContext, service: _Service
) -> SubjectToken:
    try:
        verified = service.verifier.verify(value)  # 3
    except UnverifiableToken as error:
        raise UnusableToken(reason=str(error)) from None
    if verified.expired(context.provenance.occurred_at):
        raise UnusableToken(reason="token expired")
    if not may_see(client, verified):  # 5
        raise UnusableToken(reason="another client's token")
    record = await living_token(verified, service)  # 4
    if record is None:
        raise UnusableToken(reason="token revoked, or what stands behind it")
    return SubjectToken.of(record)
