"""POST /oauth/token, /oauth/introspect and /oauth/revoke: from form to use case to JSON."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from api.composition import Service
from api.forms import Form
from api.oauth_endpoint import Answer, OAuthEndpoint
from application.authorization.request import scope_names, target_names
from application.client_authentication import AuthenticatedClient
from application.errors import InvalidAuthorizationDetails, InvalidRequest, UnsupportedGrantType
from application.grants import (
    authorization_code,
    client_credentials,
    device_code,
    jwt_bearer,
    refresh_token,
    token_exchange,
)
from application.introspection import introspect
from application.request_context import RequestContext
from application.revocation import revoke
from application.token_response import TokenResponse
from domain.authorization_details import Details

TOKEN_PATH = "/oauth/token"  # noqa: S105  # a path
INTROSPECTION_PATH = "/oauth/introspect"
REVOCATION_PATH = "/oauth/revoke"

_Grant = Callable[[Form, AuthenticatedClient, RequestContext], Awaitable[TokenResponse]]


def token_endpoints(
    service: Service, kind: type[OAuthEndpoint] = OAuthEndpoint
) -> Mapping[str, OAuthEndpoint]:
    """Return the endpoints of this module by their paths, each a `kind`."""
    return {
        TOKEN_PATH: token_endpoint(service, kind),
        INTROSPECTION_PATH: introspection_endpoint(service, kind),
        REVOCATION_PATH: revocation_endpoint(service, kind),
    }


def token_endpoint(service: Service, kind: type[OAuthEndpoint] = OAuthEndpoint) -> OAuthEndpoint:
    """Return the token endpoint (RFC 6749, Section 3.2)."""

    async def machine(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        parameters = client_credentials.Parameters(
            requested_scope(form), requested_targets(form), requested_details(form, caller, service)
        )
        return await client_credentials.handle(parameters, caller, context, service)

    async def code(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        parameters = authorization_code.Parameters(
            form.require("code"),
            form.require("code_verifier"),
            form.get("redirect_uri"),
            requested_targets(form),
            requested_details(form, caller, service),
        )
        return await authorization_code.handle(parameters, caller, context, service)

    async def refresh(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        parameters = refresh_token.Parameters(
            form.require("refresh_token"),
            requested_scope(form),
            requested_targets(form),
            requested_details(form, caller, service),
        )
        return await refresh_token.handle(parameters, caller, context, service)

    async def device(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        _take_no_details(form)
        parameters = device_code.Parameters(form.require("device_code"))
        return await device_code.handle(parameters, caller, context, service)

    async def exchange(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        parameters = token_exchange.Parameters(
            subject_token=form.require("subject_token"),
            subject_token_type=form.require("subject_token_type"),
            actor_token=form.get("actor_token"),
            actor_token_type=form.get("actor_token_type"),
            requested_token_type=form.get("requested_token_type"),
            scope=requested_scope(form),
            audience=target_names(form.all("audience")),
            resource=target_names(form.all("resource")),
            authorization_details=requested_details(form, caller, service),
        )
        return await token_exchange.handle(parameters, caller, context, service)

    async def assertion(
        form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> TokenResponse:
        _take_no_details(form)
        parameters = jwt_bearer.Parameters(
            form.require("assertion"), requested_scope(form), requested_targets(form)
        )
        return await jwt_bearer.handle(parameters, caller, context, service)

    grants: Mapping[str, _Grant] = {
        client_credentials.GRANT_TYPE: machine,
        authorization_code.GRANT_TYPE: code,
        refresh_token.GRANT_TYPE: refresh,
        device_code.GRANT_TYPE: device,
        token_exchange.GRANT_TYPE: exchange,
        jwt_bearer.GRANT_TYPE: assertion,
    }

    async def issue(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        grant = grants.get(form.require("grant_type"))
        if grant is None:
            raise UnsupportedGrantType(
                f"supported grant types: {' '.join(grants)}", reason="unsupported grant type"
            )
        return rendered(await grant(form, caller, context))

    return kind(
        "token",
        service,
        issue,
        grant_types=frozenset(grants),
        proof_path=TOKEN_PATH,
        limit=service.rate_limits.token,
    )


def introspection_endpoint(
    service: Service, kind: type[OAuthEndpoint] = OAuthEndpoint
) -> OAuthEndpoint:
    """Return the introspection endpoint (RFC 7662, Section 2)."""

    async def ask(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        return await introspect(
            form.require("token"), caller, service, once=context.once, context=context
        )

    return kind("introspect", service, ask, signs=True)


def revocation_endpoint(
    service: Service, kind: type[OAuthEndpoint] = OAuthEndpoint
) -> OAuthEndpoint:
    """Return the revocation endpoint (RFC 7009, Section 2)."""

    async def void(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        wish = form.get("include_descendants")
        if wish not in (None, "true", "false"):
            raise InvalidRequest("include_descendants is true or false")
        await revoke(form.require("token"), caller, context, service, descendants=wish == "true")
        return None

    return kind("revoke", service, void)


def requested_scope(form: Form) -> tuple[str, ...] | None:
    """Return the scope names of a request, None where it names none. Raises InvalidScope."""
    return scope_names(form.get("scope"))


def requested_targets(form: Form) -> tuple[str, ...]:
    """Return what `audience` and `resource` name. Raises InvalidTarget for a malformed one."""
    return target_names(form.all("audience", "resource"))


def requested_details(form: Form, caller: AuthenticatedClient, service: Service) -> Details | None:
    """Return the authorization details of a request (RFC 9396), None where it names none.

    Raises InvalidAuthorizationDetails.
    """
    allowed = caller.client.authorization_details_types
    return service.details.read(form.get("authorization_details"), allowed=allowed)


def _take_no_details(form: Form) -> None:
    # Unnoticed, the client would believe that it was granted them.
    if form.get("authorization_details") is not None:
        raise InvalidAuthorizationDetails("this grant takes no authorization_details")


def rendered(response: TokenResponse) -> dict[str, Any]:
    """Return the JSON object of a token response (RFC 6749, Section 5.1)."""
    return {
        "access_token": response.access_token,
        "token_type": response.token_type,
        "expires_in": response.expires_in,
        "scope": response.scope,
        **{
            name: value
            for name, value in (
                ("refresh_token", response.refresh_token),
                ("id_token", response.id_token),
                ("issued_token_type", response.issued_token_type),
                ("authorization_details", response.authorization_details or None),
            )
            if value is not None
        },
    }
