"""What a resource server needs to take our access tokens; ours uses it for /admin and /audit.

A Litestar application of another service guards its routes like this (docs/resource-server.md):

    outbound = Outbound()
    resource_server = ResourceServer(
        "https://api.example",
        RemoteIssuer("https://auth.example", outbound),
        url="https://api.example",
    )
    app = Litestar(
        [Router("/reports", guards=[resource_server.requires("service")], route_handlers=[...])],
        exception_handlers={OAuthError: resource_server.refused},
    )
"""

from api.resource_server.guard import ResourceServer, caller_of
from api.resource_server.memory_names import MemoryNames
from api.resource_server.remote_issuer import RemoteIssuer

__all__ = ["MemoryNames", "RemoteIssuer", "ResourceServer", "caller_of"]
