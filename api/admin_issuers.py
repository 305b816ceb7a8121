"""The part of the administration API about trusted issuers."""

from typing import Any

from litestar import get, post, put

from api.admin_requests import AnyRequest, IssuerName, Reason, administrative
from api.composition import Service
from api.views import IssuerView
from application.administration import issuers
from application.administration.issuers import Trial
from application.errors import NotFound
from domain.trusted_issuer import IssuerTerms


def issuer_routes(service: Service) -> list[Any]:
    """Return the routes below /admin/issuers."""

    @get("/issuers", tags=["Issuers"], summary="All issuers, removed ones too")
    async def list_issuers() -> list[IssuerView]:
        await service.directory.refresh()
        return [IssuerView.of(issuer) for issuer in service.directory.issuers()]

    @put("/issuers", tags=["Issuers"], summary="Trust an issuer on these terms, and no others")
    async def trust(request: AnyRequest, data: IssuerTerms, reason: Reason = None) -> IssuerView:
        issuer = await issuers.trust(
            data, service=service, provenance=administrative(request, service, reason)
        )
        await service.directory.refresh()
        return IssuerView.of(issuer)

    @post(
        "/issuers/remove",
        tags=["Issuers"],
        summary="Trust an issuer no more; what was issued on its word is void at once",
        status_code=200,
    )
    async def remove(request: AnyRequest, data: IssuerName, reason: Reason = None) -> IssuerView:
        issuer = await issuers.remove(
            data.issuer, service=service, provenance=administrative(request, service, reason)
        )
        await service.directory.refresh()
        return IssuerView.of(issuer)

    @post(
        "/issuers/test",
        tags=["Issuers"],
        summary="Fetch the keys of an issuer now, and show those that may sign its tokens",
        status_code=200,
    )
    async def test(data: IssuerName) -> Trial:
        await service.directory.refresh()
        issuer = service.directory.issuer(data.issuer)
        if issuer is None:
            raise NotFound(f"no such issuer: {data.issuer}")
        return await issuers.test(issuer.terms, service=service)

    return [list_issuers, trust, remove, test]
