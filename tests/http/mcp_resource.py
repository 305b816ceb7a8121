"""An MCP server as far as OAuth sees it: a protected resource that says who issues its tokens."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt

PATH = "/mcp"
SCOPE = "mcp"
_METADATA_PATH = f"/.well-known/oauth-protected-resource{PATH}"


class McpResource:
    """The resource and its `issuer`, which may be told after the resource has its address."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.url = f"{origin}{PATH}"
        self.issuer = ""

    def metadata(self) -> dict[str, Any]:
        """Return the protected resource metadata (RFC 9728, Section 2)."""
        return {
            "resource": self.url,
            "authorization_servers": [self.issuer],
            "scopes_supported": [SCOPE],
            "bearer_methods_supported": ["header"],
        }

    def lets_in(self, authorization: str) -> bool:
        """Tell whether a request carries a token of the issuer that is meant for this resource."""
        scheme, _, token = authorization.partition(" ")
        keys = jwt.PyJWKClient(f"{self.issuer}/oauth/jwks.json")
        try:
            jwt.decode(
                token,
                keys.get_signing_key_from_jwt(token),
                algorithms=["ES256"],
                audience=self.url,
                issuer=self.issuer,
            )
        except jwt.InvalidTokenError:
            return False
        return scheme == "Bearer"


@contextmanager
def running_resource() -> Iterator[McpResource]:
    """Serve a resource on the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == _METADATA_PATH:
                return self._reply(200, resource.metadata())
            if self.path == PATH and resource.lets_in(self.headers.get("Authorization", "")):
                return self._reply(200, {"welcome": True})
            challenge = f'Bearer resource_metadata="{resource.origin}{_METADATA_PATH}"'
            return self._reply(
                401 if self.path == PATH else 404, {}, {"WWW-Authenticate": challenge}
            )

        def _reply(
            self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
        ) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            sized = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            for name, value in {**sized, **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        resource = McpResource(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield resource
        server.shutdown()
        thread.join()
