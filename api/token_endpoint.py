"""POST /oauth/token, /oauth/introspect and /oauth/revoke: from form to use case to JSON."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from api.composition import Service
from api.forms import Form
from api.oauth_endpoint import Answer, OAuthEndpoint
from application.client_authentication import AuthenticatedClient
from application.errors import InvalidScope, InvalidTarget, UnsupportedGrantType
from application.grants import client_credentials
from application.introspection import introspect
from application.request_context import RequestContext
from application.revocation import revoke
from application.token_response import TokenResponse
from domain.client_configuration import AUDIENCE

TOKEN_PATH = "/oauth/token"  # noqa: S105  # a path
INTROSPECTION_PATH = "/oauth/introspect"
REVOCATION_PATH = "/oauth/revoke"

_MAX_SCOPE_CHARACTERS = 2048
# RFC 6749, Section 3.3: scope-token *( SP scope-token )
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*")
_TARGET = re.compile(AUDIENCE)

_Grant = Callable[[Form, AuthenticatedClient, RequestContext], Awaitable[TokenResponse]]


def token_endpoint(service: Service) -> OAuthEndpoint:
    """Return the token endpoint (RFC 6749, Section 3.2)."""

    async def machine(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        parameters = client_credentials.Parameters(requested_scope(form), requested_targets(form))
        return await client_credentials.handle(parameters, caller, context, service)

    grants: Mapping[str, _Grant] = {client_credentials.GRANT_TYPE: machine}

    async def issue(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        grant = grants.get(form.require("grant_type"))
        if grant is None:
            raise UnsupportedGrantType(
                f"supported grant types: {' '.join(grants)}", reason="unsupported grant type"
            )
        return rendered(await grant(form, caller, context))

    return OAuthEndpoint("token", service, issue, grant_types=frozenset(grants))


def introspection_endpoint(service: Service) -> OAuthEndpoint:
    """Return the introspection endpoint (RFC 7662, Section 2)."""

    async def ask(form: Form, caller: AuthenticatedClient, _: RequestContext) -> Answer:
        return await introspect(form.require("token"), caller, service)

    return OAuthEndpoint("introspect", service, ask)


def revocation_endpoint(service: Service) -> OAuthEndpoint:
    """Return the revocation endpoint (RFC 7009, Section 2)."""

    async def void(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        await revoke(form.require("token"), caller, context, service)
        return None

    return OAuthEndpoint("revoke", service, void)


def requested_scope(form: Form) -> tuple[str, ...] | None:
    """Return the scope names of a request, None where it names none. Raises InvalidScope."""
    value = form.get("scope")
    if value is None:
        return None
    if len(value) > _MAX_SCOPE_CHARACTERS or not _SCOPE.fullmatch(value):
        raise InvalidScope("the scope is malformed")
    return tuple(value.split(" "))


def requested_targets(form: Form) -> tuple[str, ...]:
    """Return what `audience` and `resource` name. Raises InvalidTarget for a malformed one."""
    targets = form.all("audience", "resource")
    for target in targets:
        # RFC 8707, Section 2: a resource "MUST NOT include a fragment component".
        if not _TARGET.fullmatch(target) or "#" in target:
            raise InvalidTarget("a target is malformed")
    return targets


def rendered(response: TokenResponse) -> dict[str, Any]:
    """Return the JSON object of a token response (RFC 6749, Section 5.1)."""
    return {
        "access_token": response.access_token,
        "token_type": response.token_type,
        "expires_in": response.expires_in,
        "scope": response.scope,
    }
