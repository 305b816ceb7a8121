"""What clients and resource servers look up: metadata (RFC 8414) and the key set (RFC 7517)."""

from hashlib import sha256
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from api.authorize_pages import AUTHORIZE_PATH
from api.composition import PROTECTED_RESOURCE_PATH, Service
from api.logout_pages import LOGOUT_PATH
from api.person_endpoints import DEVICE_AUTHORIZATION_PATH, PAR_PATH, USERINFO_PATH
from api.registration_endpoint import REGISTRATION_PATH
from api.token_endpoint import INTROSPECTION_PATH, REVOCATION_PATH, TOKEN_PATH
from application.authorization.request import PROMPTS, RESPONSE_MODES
from application.grants.token_exchange import ID_JAG_TYPE
from application.settings import Settings
from domain.client_configuration import BY_CERTIFICATE, GRANT_TYPES, TLS_CLIENT_AUTH
from domain.permissions import AUDIT_READ, CLIENTS_MANAGE

JWKS_PATH = "/oauth/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
OPENID_PATH = "/.well-known/openid-configuration"
_CERTIFICATE_ENDPOINTS = (
    ("token_endpoint", TOKEN_PATH),
    ("introspection_endpoint", INTROSPECTION_PATH),
    ("revocation_endpoint", REVOCATION_PATH),
    ("pushed_authorization_request_endpoint", PAR_PATH),
    ("device_authorization_endpoint", DEVICE_AUTHORIZATION_PATH),
    ("userinfo_endpoint", USERINFO_PATH),
)
_METADATA_SECONDS = 300
RESOURCE_SCOPES = (CLIENTS_MANAGE, AUDIT_READ)
# draft-ietf-oauth-identity-assertion-authz-grant; draft-ietf-oauth-identity-chaining
_ID_JAG = {
    "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
    "identity_chaining_requested_token_types_supported": [ID_JAG_TYPE],
}


def metadata(service: Service) -> dict[str, Any]:
    """Return the authorization server metadata (RFC 8414, Section 2; OpenID Connect Discovery 1.0,
    Section 3): exactly what works.
    """
    issuer, settings = service.settings.issuer_url, service.settings
    public_too = [method for method in settings.client_auth_methods if _possible(method, settings)]
    confidential = [method for method in public_too if method != "none"]
    algorithms = list(settings.verification_algorithms)
    types = service.details.names
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE_PATH}",
        "authorization_response_iss_parameter_supported": True,
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": list(PROMPTS),
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
        "pushed_authorization_request_endpoint": f"{issuer}{PAR_PATH}",
        "require_pushed_authorization_requests": settings.require_pushed_requests,
        "device_authorization_endpoint": f"{issuer}{DEVICE_AUTHORIZATION_PATH}",
        "token_endpoint": f"{issuer}{TOKEN_PATH}",
        "token_endpoint_auth_methods_supported": public_too,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": algorithms,
        "grant_types_supported": list(GRANT_TYPES),
        "tls_client_certificate_bound_access_tokens": settings.takes_certificates,
        **_mtls_aliases(settings),
        **(_ID_JAG if settings.experimental_id_jag else {}),
        "introspection_endpoint": f"{issuer}{INTROSPECTION_PATH}",
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_signing_alg_values_supported": list(settings.signing_algorithms),
        "revocation_endpoint": f"{issuer}{REVOCATION_PATH}",
        "revocation_endpoint_auth_methods_supported": public_too,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        **_registration(settings),
        "jwks_uri": f"{issuer}{JWKS_PATH}",
        "userinfo_endpoint": f"{issuer}{USERINFO_PATH}",
        "end_session_endpoint": f"{issuer}{LOGOUT_PATH}",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(settings.signing_algorithms),
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "at_hash",
            "amr",
            "sid",
            "origin_jti",
            "preferred_username",
        ],
        "scopes_supported": [p.name for p in service.catalogue.permissions],
        **({"authorization_details_types_supported": list(types)} if types else {}),
        "service_documentation": f"{issuer}/schema/openapi.json",
    }


def _possible(method: str, settings: Settings) -> bool:
    """Tell whether clients can authenticate by a method here; those of RFC 8705 need more."""
    if method == TLS_CLIENT_AUTH and settings.client_ca_file is None:
        return False
    return method not in BY_CERTIFICATE or settings.takes_certificates


def _mtls_aliases(settings: Settings) -> dict[str, Any]:
    """RFC 8705, Section 5: the endpoints where clients are asked for certificates."""
    base = settings.mtls_base_url
    if base is None or not settings.takes_certificates:
        return {}
    return {
        "mtls_endpoint_aliases": {name: f"{base}{path}" for name, path in _CERTIFICATE_ENDPOINTS}
    }


def resource_metadata(service: Service) -> dict[str, Any]:
    """Return the metadata of our own protected resource: /admin, /audit and /reports (RFC 9728)."""
    issuer = service.settings.issuer_url
    return {
        "resource": service.settings.management_audience,
        "resource_name": "Administration and audit of Grantledger",
        "authorization_servers": [issuer],
        "scopes_supported": [s for s in RESOURCE_SCOPES if s in service.catalogue.by_name],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(service.settings.verification_algorithms),
        "tls_client_certificate_bound_access_tokens": service.settings.takes_certificates,
        "resource_documentation": f"{issuer}/schema/openapi.json",
    }


def _registration(settings: Settings) -> dict[str, Any]:
    """Return how clients become known of themselves (RFC 7591, Section 3; draft-ietf-oauth-
    client-id-metadata-document).
    """
    members: dict[str, Any] = {}
    if settings.registration != "closed":
        members["registration_endpoint"] = f"{settings.issuer_url}{REGISTRATION_PATH}"
    if settings.client_id_metadata_documents:
        members["client_id_metadata_document_supported"] = True
    return members


def key_set(service: Service) -> dict[str, Any]:
    """Return the public keys that verify our tokens, the next one included (RFC 7517)."""
    now = service.clock.now()
    keys = [dict(key.public_jwk) for key in service.directory.keys() if key.published(now)]
    return {"keys": keys}


def well_known_routes(service: Service) -> list[HTTPRouteHandler]:
    """Return the discovery routes."""
    caching = f"public, max-age={_METADATA_SECONDS}"

    @get(
        [METADATA_PATH, OPENID_PATH],
        tags=["Discovery"],
        summary="Authorization server metadata (RFC 8414)",
    )
    async def server_metadata() -> Response[dict[str, Any]]:
        return Response(metadata(service), headers={"Cache-Control": caching, **_OPEN})

    @get(
        [PROTECTED_RESOURCE_PATH, f"{PROTECTED_RESOURCE_PATH}/management"],
        tags=["Discovery"],
        summary="Protected resource metadata (RFC 9728) of /admin, /audit and /reports",
    )
    async def own_resource() -> Response[dict[str, Any]]:
        return Response(resource_metadata(service), headers={"Cache-Control": caching, **_OPEN})

    @get(
        JWKS_PATH,
        tags=["Discovery"],
        summary="Public keys that verify our tokens (RFC 7517); the next one included",
        media_type=MediaType.JSON,
    )
    async def jwks(request: Request[Any, Any, Any]) -> Response[dict[str, Any] | None]:
        keys = key_set(service)
        kids = " ".join(str(key["kid"]) for key in keys["keys"])
        etag = f'"{sha256(kids.encode()).hexdigest()[:32]}"'
        headers = {
            "Cache-Control": f"public, max-age={service.jwks_max_age}",
            "ETag": etag,
            **_OPEN,
        }
        if request.headers.get("if-none-match") == etag:
            return Response(None, status_code=304, headers=headers)
        return Response(keys, headers=headers)

    return [server_metadata, own_resource, jwks]


# Public documents: a page of any origin may read them.
_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
