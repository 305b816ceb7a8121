"""What clients call for people: pushed requests (RFC 9126), devices (RFC 8628), userinfo (OIDC)."""

from typing import Any

from litestar import Request, Response, route
from litestar.handlers import HTTPRouteHandler

from api.composition import Service
from api.forms import Form
from api.oauth_endpoint import Answer, OAuthEndpoint
from api.token_endpoint import requested_details, requested_scope, requested_targets
from application.authorization.device import INTERVAL_SECONDS, request_device
from application.authorization.device import LIFETIME as DEVICE_LIFETIME
from application.authorization.pushing import LIFETIME, push
from application.authorization.request import checked, client_and_redirect_uri
from application.client_authentication import AuthenticatedClient
from application.errors import InsufficientScope, InvalidDpopProof, InvalidRequest
from application.profiles import FAPI2
from application.request_context import RequestContext
from application.token_keys import VerifiedClaims
from application.userinfo import userinfo
from domain.confirmation import DPOP
from domain.permissions import OPENID

PAR_PATH = "/oauth/par"
DEVICE_AUTHORIZATION_PATH = "/oauth/device_authorization"
DEVICE_PATH = "/device"
USERINFO_PATH = "/oauth/userinfo"
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, DPoP",
    "Access-Control-Max-Age": "86400",
}


def par_endpoint(service: Service) -> OAuthEndpoint:
    """Return the pushed authorization request endpoint (RFC 9126, Section 2)."""

    async def keep(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        if form.get("request_uri") is not None:
            # Section 2.1: "The request_uri authorization request parameter MUST NOT be provided".
            raise InvalidRequest("request_uri cannot be pushed")
        parameters = {
            **form.single(),
            "client_id": caller.client.client_id,
            **_bound(form, context),
        }
        if service.settings.profile == FAPI2 and "redirect_uri" not in parameters:
            # FAPI 2.0, Section 5.3.2.2: "shall require the redirect_uri parameter in pushed [...]"
            raise InvalidRequest("redirect_uri is required")
        client, redirect_uri = client_and_redirect_uri(parameters, service.directory)
        targets = form.all("resource")
        request = checked(
            parameters, targets, client, redirect_uri, service.policy, service.details
        )
        await context.once.use()
        request_uri = await push(request, context, service)
        return {"request_uri": request_uri, "expires_in": int(LIFETIME.total_seconds())}

    return OAuthEndpoint(
        "par",
        service,
        keep,
        status=201,
        proof_path=PAR_PATH,
        limit=service.rate_limits.pushed_requests,
    )


def _bound(form: Form, context: RequestContext) -> dict[str, str]:
    """Return the key that a code is to be bound to, of the proof that came with a pushed request.

    RFC 9449, Section 10.1: "If both mechanisms are used at the same time, the authorization server
    MUST reject the request if the JWK Thumbprint in dpop_jkt does not match".
    """
    key = context.confirmation
    if key is None or key.method != DPOP:
        return {}
    if form.get("dpop_jkt") not in (None, key.thumbprint):
        raise InvalidDpopProof("dpop_jkt is another key than the DPoP proof's")
    return {"dpop_jkt": key.thumbprint}


def device_authorization_endpoint(service: Service) -> OAuthEndpoint:
    """Return the device authorization endpoint (RFC 8628, Section 3.1)."""

    async def begin(form: Form, caller: AuthenticatedClient, context: RequestContext) -> Answer:
        codes = await request_device(
            requested_scope(form),
            requested_targets(form),
            caller,
            context,
            service,
            details=requested_details(form, caller, service) or (),
        )
        page = f"{service.settings.issuer_url}{DEVICE_PATH}"
        return {
            "device_code": codes.device_code,
            "user_code": codes.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={codes.user_code}",
            "expires_in": int(DEVICE_LIFETIME.total_seconds()),
            "interval": INTERVAL_SECONDS,
        }

    limit = service.rate_limits.devices
    return OAuthEndpoint("device_authorization", service, begin, limit=limit)


def _tells_of_a_login(token: VerifiedClaims) -> None:
    if OPENID not in token.scope or "auth_time" not in token.claims:
        raise InsufficientScope(f"the token lacks the scope {OPENID}")


def userinfo_routes(service: Service) -> list[HTTPRouteHandler]:
    """Return the userinfo endpoint (OpenID Connect Core, Section 5.3), for pages as well: a browser
    asks before it sends a token, or a proof, to another origin.
    """

    @route(
        USERINFO_PATH,
        http_method=["GET", "POST"],
        tags=["OAuth"],
        summary="Who is logged in (OpenID Connect Core, Section 5.3)",
        security=[{"bearer": [OPENID]}],
        status_code=200,
    )
    async def show(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        token = await service.userinfo_server.verified(request, require=_tells_of_a_login)
        claims = await userinfo(token, service.credentials.logins_of)
        return Response(
            dict(claims),
            headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
        )

    @route(USERINFO_PATH, http_method=["OPTIONS"], include_in_schema=False)
    async def preflight() -> Response[None]:
        return Response(None, status_code=204, headers=_PREFLIGHT)

    return [preflight, show]
