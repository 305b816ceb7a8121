"""Our own protected endpoints: the caller's access token (RFC 6750; RFC 9068, Section 4).

1 one Bearer token in the Authorization header, never in the query, 2 one of ours and not expired,
3 meant for this service: its audience holds the issuer, 4 live in the log, 5 with the scope.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from api.composition import Service
from api.oauth_errors import MissingToken
from application.errors import InsufficientScope, InvalidToken
from application.introspection import is_live
from application.token_keys import UnverifiableToken, VerifiedClaims

CALLER = "grantledger_caller"


def requires(scope: str, service: Service) -> Guard:
    """Return a guard that lets through tokens of ours that carry `scope`."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        headers = connection.headers.getall("authorization", [])
        verified = await live_token(headers, service)
        if scope not in verified.scope:  # 5
            raise InsufficientScope(f"the token lacks the scope {scope}")
        connection.scope["state"][CALLER] = verified

    return guard


async def live_token(headers: list[str], service: Service) -> VerifiedClaims:
    """Return the token of the Authorization headers once 1 to 4 hold. Raises InvalidToken."""
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:  # 1
        raise MissingToken
    try:
        verified = service.verifier.verify(token.strip())  # 2
    except UnverifiableToken as error:
        raise InvalidToken(_INVALID, reason=str(error)) from None
    if verified.expired(service.clock.now()):
        raise InvalidToken(_INVALID, reason="expired")
    if service.settings.issuer_url not in verified.audience:  # 3
        raise InvalidToken(_INVALID, reason="not meant for this service")
    if not await is_live(verified, service):  # 4
        raise InvalidToken(_INVALID, reason="revoked, or its client or owner is not active")
    return verified


_INVALID = "the access token is expired, revoked, malformed or not meant for this service"
