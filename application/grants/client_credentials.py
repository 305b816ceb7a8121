"""client_credentials (RFC 6749, Section 4.4): the machine as itself.

The caller is authenticated already (step 1); steps 2 to 9 are decided by the client aggregate in
the order that domain.client gives and says why. No refresh token is issued: RFC 6749, Section
4.4.3: "A refresh token SHOULD NOT be included."
"""

from typing import Protocol

import msgspec

from application.client_authentication import AuthenticatedClient
from application.errors import from_domain
from application.ports import Directory, EventLog, Ids, TokenMinter
from application.request_context import RequestContext
from application.token_response import TokenResponse
from domain.authorization_details import Details
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy, IssueRequest

GRANT_TYPE = "client_credentials"

__all__ = ["GRANT_TYPE", "Parameters", "handle"]


class Parameters(msgspec.Struct, frozen=True):
    """`scope` is None where the request named none; `audience` holds `resource` values too."""

    scope: tuple[str, ...] | None
    audience: tuple[str, ...]
    authorization_details: Details | None = None


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def minter(self) -> TokenMinter: ...

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
    """Issue an access token to the client itself.

    Raises the OAuth error of the rule that was broken, or LedgerUnavailable: then nothing is
    handed out.
    """
    client, provenance = requester.client, context.provenance
    request = IssueRequest(
        token_id=service.ids.stream_id(provenance.occurred_at),
        session_id=service.ids.session_id(),
        scope=parameters.scope,
        audience=parameters.audience,
        authentication_method=requester.method,
        credential_id=requester.credential_id,
        origin=context.origin,
        confirmation=context.confirmation,
        authorization_details=parameters.authorization_details,
    )
    try:
        token = client.issue_token(
            request,
            grant_type=GRANT_TYPE,
            owner=service.directory.principal(client.owner) if client.owner else None,
            policy=service.policy,
            signing=service.minter.choose(client.tokens.signing_algorithm),
            provenance=provenance,
        )
    except DomainError as error:
        raise from_domain(error) from error
    await context.once.use()
    signed = service.minter.mint(token)
    await service.log.save(token)
    return TokenResponse.to(token, signed)
