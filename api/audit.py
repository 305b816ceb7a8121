"""The audit trail for those who may read it (scope `audit:read`): of a token, of a search."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get

from api.admin_requests import client_named
from api.audit_events import AuditPage, event_handlers
from api.audit_routes import NAME, auditors_router
from api.composition import Service
from application.errors import NotFound
from projections import audit_trail, client_last_used
from projections.client_last_used import LastUsed
from projections.lineage import Lineage


def audit_router(service: Service) -> Router:
    """Return the routes below /audit."""

    @get(
        "/tokens/{token_id:uuid}",
        tags=["Audit"],
        summary="Everything recorded about one token, by its jti",
    )
    async def token_history(token_id: UUID) -> AuditPage:
        entries = await service.read_models.fetch(audit_trail.of_token(token_id))
        if not entries:
            raise NotFound("nothing is recorded about this token, or not projected yet")
        return AuditPage(entries=tuple(entries), next_after=None)

    @get(
        "/tokens/{token_id:uuid}/lineage",
        tags=["Audit"],
        summary="The tree of tokens it was exchanged from, and that were exchanged from it",
    )
    async def lineage(token_id: UUID) -> Lineage:
        found = await service.read_models.lineage(token_id, now=service.clock.now())
        if found is None:
            raise NotFound("nothing is recorded about this token, or not projected yet")
        return found

    @get(
        "/clients/{client_id:str}/last-used",
        tags=["Audit"],
        summary="When a client, its credentials and its scopes were last used, and how often",
    )
    async def last_used(client_id: Annotated[str, NAME]) -> list[LastUsed]:
        return await service.read_models.fetch(client_last_used.of_client(client_named(client_id)))

    handlers: list[Any] = [token_history, lineage, *event_handlers(service), last_used]
    return auditors_router(service, "/audit", handlers)
