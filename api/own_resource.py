"""Our own protected endpoints: /admin, /audit, /reports, userinfo and the console.

They know what a resource server elsewhere cannot: what was recorded. A token counts here only where
its record says what it says (application.recorded_token), so that a copy of a signing key opens
nothing; and only while it is live.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from api.request_reading import client_address, forwarded_for, trace_of
from api.resource_server.guard import INVALID, NOT_LIVE, Connection, ResourceServer
from application.errors import InvalidToken
from application.introspection import stands
from application.recorded_token import Circumstances, recorded_token, verified_token
from application.token_keys import VerifiedClaims
from domain.provenance import Provenance

if TYPE_CHECKING:  # the composition makes this one
    from api.composition import Service


class OwnResourceServer(ResourceServer):
    """Takes tokens of this service, as they were recorded."""

    def __init__(self, service: "Service", *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._service = service

    async def claims_of(self, connection: Connection, token: str, now: datetime) -> VerifiedClaims:  # noqa: ARG002
        """Return the claims of a token of ours. Raises UnverifiableToken."""
        return verified_token(token, self._circumstances(connection), self._service)

    async def require_live(self, connection: Connection, verified: VerifiedClaims) -> None:
        """Raise InvalidToken unless a token is what was recorded, and live; LedgerUnavailable."""
        record = await recorded_token(verified, self._circumstances(connection), self._service)
        if record is None:
            raise InvalidToken(INVALID, reason="no record says what this token says")
        if not await stands(record, self._service):
            raise InvalidToken(INVALID, reason=NOT_LIVE)

    def _circumstances(self, connection: Connection) -> Circumstances:
        service, scope = self._service, connection.scope
        address = client_address(
            scope, forwarded_for=forwarded_for(scope), trusted=service.settings.trusted_proxies
        )
        if not service.settings.keep_network_data:
            address = service.peppers.pseudonym(address)
        trace = trace_of(connection.headers.get("traceparent", "").encode("latin-1", "replace"))
        provenance = Provenance(service.clock.now(), service.ids.request_id(), trace)
        return Circumstances(_endpoint(scope["path"]), "", address, provenance)


def _endpoint(path: str) -> str:
    """Return the endpoint as refusals name it: never a part of the path that names something."""
    area, _, rest = path.strip("/").partition("/")
    return rest.partition("/")[0] if area == "oauth" else area
