"""What clients and resource servers look up: metadata (RFC 8414) and the key set (RFC 7517)."""

from hashlib import sha256
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from api.composition import Service
from api.token_endpoint import INTROSPECTION_PATH, REVOCATION_PATH, TOKEN_PATH
from application.grants import client_credentials

JWKS_PATH = "/oauth/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
OPENID_PATH = "/.well-known/openid-configuration"
SECRET_METHODS = ["client_secret_basic", "client_secret_post"]
_METADATA_SECONDS = 300


def metadata(service: Service) -> dict[str, Any]:
    """Return the authorization server metadata (RFC 8414, Section 2): exactly what works."""
    issuer = service.settings.issuer_url
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}{TOKEN_PATH}",
        "token_endpoint_auth_methods_supported": SECRET_METHODS,
        "introspection_endpoint": f"{issuer}{INTROSPECTION_PATH}",
        "introspection_endpoint_auth_methods_supported": SECRET_METHODS,
        "revocation_endpoint": f"{issuer}{REVOCATION_PATH}",
        "revocation_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "jwks_uri": f"{issuer}{JWKS_PATH}",
        "grant_types_supported": [client_credentials.GRANT_TYPE],
        # Required even where, as here, there is no authorization endpoint.
        "response_types_supported": [],
        "scopes_supported": [p.name for p in service.catalogue.permissions],
        "service_documentation": f"{issuer}/schema/openapi.json",
    }


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

    return [server_metadata, jwks]


# Public documents: a page of any origin may read them.
_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
