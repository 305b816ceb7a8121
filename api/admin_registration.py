"""The part of the administration API about who may let clients register themselves."""

from datetime import timedelta
from typing import Any

from litestar import get, post

from api.admin_requests import AnyRequest, NewRegistrationToken, Reason, administrative
from api.composition import Service
from api.registration_views import InitialAccessView, InitialAccessWithToken
from application.administration import initial_access


def registration_token_routes(service: Service) -> list[Any]:
    """Return the routes below /admin/registration-tokens."""

    @get("/registration-tokens", tags=["Registration"], summary="All initial access tokens")
    async def list_tokens() -> list[InitialAccessView]:
        await service.directory.refresh()
        now = service.clock.now()
        return [InitialAccessView.of(one, now) for one in service.directory.initial_accesses()]

    @post(
        "/registration-tokens",
        tags=["Registration"],
        summary="Let somebody register clients; the token is shown once (RFC 7591)",
    )
    async def issue(
        request: AnyRequest, data: NewRegistrationToken, reason: Reason = None
    ) -> InitialAccessWithToken:
        access, token = await initial_access.issue(
            lifetime=timedelta(seconds=data.lifetime),
            max_uses=data.max_uses,
            service=service,
            provenance=administrative(request, service, reason),
        )
        return InitialAccessWithToken.with_token(access, token, service.clock.now())

    @post(
        "/registration-tokens/{access_id:str}/revoke",
        tags=["Registration"],
        summary="Let nobody register with a token any more; its clients stay",
        status_code=200,
    )
    async def revoke(
        request: AnyRequest, access_id: str, reason: Reason = None
    ) -> InitialAccessView:
        access = await initial_access.revoke(
            access_id, service=service, provenance=administrative(request, service, reason)
        )
        return InitialAccessView.of(access, service.clock.now())

    return [list_tokens, issue, revoke]
