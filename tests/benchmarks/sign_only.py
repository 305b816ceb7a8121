"""The ceiling: the same server, form parsing and signature, and nothing decided or recorded.

The route stands beside the real ones in the same application, so that both are measured in one run
on one process.
"""

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from api.composition import Service
from api.forms import parse_form, read_body, require_form_type
from api.request_reading import read_headers
from api.worker import composed

SIGN_ONLY_PATH = "/bench/sign"


def application() -> ASGIApp:
    """Return the service's own application with the sign-only route beside its direct ones."""
    return composed(lambda service: {SIGN_ONLY_PATH: _sign_only(service)})


def _sign_only(service: Service) -> ASGIApp:
    keys, clock, ids = service.keys, service.clock, service.ids
    issuer = service.settings.issuer_url

    async def sign_only(scope: Scope, receive: Receive, send: Send) -> None:
        headers = read_headers(scope)
        require_form_type(headers.content_type)
        form = parse_form(await read_body(receive, announced=headers.content_length))
        form.require("grant_type")
        now = clock.now()
        begins = int(now.timestamp())
        claims = {
            "iss": issuer,
            "sub": "owner",
            "aud": issuer,
            "exp": begins + 3600,
            "iat": begins,
            "nbf": begins,
            "jti": str(ids.stream_id(now)),
            "client_id": "demo",
            "scope": "user service a2a mcp",
            "sid": ids.session_id(),
        }
        answer = {
            "access_token": keys.sign(claims, keys.choose(None)),
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "user service a2a mcp",
        }
        body = msgspec.json.encode(answer)
        response_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": response_headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return sign_only
