"""The application of docs/resource-server.md, as somebody else would write it."""

import os
from typing import Any

from litestar import Litestar, Request, Router, get

from api.resource_server import RemoteIssuer, ResourceServer, caller_of
from application.errors import OAuthError
from application.outbound import Outbound

URL = os.environ["REPORTS_URL"]
resource_server = ResourceServer(
    URL,
    RemoteIssuer(os.environ["REPORTS_ISSUER"], Outbound()),
    url=URL,
)


@get("/latest")
async def latest(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Tell who asks."""
    return {"for": caller_of(request).claims["sub"]}


app = Litestar(
    [Router("/reports", guards=[resource_server.requires("service")], route_handlers=[latest])],
    exception_handlers={OAuthError: resource_server.refused},
)
