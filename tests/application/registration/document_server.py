"""A host on which a client publishes a document about itself, by https as the rules want it."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.application.certificate import Certificate

PATH = "/app.json"


@dataclass
class DocumentServer:
    """What it answers can be changed at any time; `requests` counts by path."""

    base: str
    certificate: Path
    documents: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    requests: Counter[str] = field(default_factory=Counter)

    def url(self, path: str = PATH) -> str:
        """Return the URL of a document, which is the client_id."""
        return f"{self.base}{path}"

    def publish(self, path: str = PATH, **members: Any) -> str:
        """Publish a good document, but for `members`, None takes one out; return its URL."""
        document = {
            "client_id": self.url(path),
            "client_name": "Published app",
            "redirect_uris": ["https://client.example/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            **members,
        }
        self.documents[path] = {name: v for name, v in document.items() if v is not None}
        return self.url(path)


@contextmanager
def document_server(folder: Path, *, name: str = "localhost") -> Iterator[DocumentServer]:
    """Run one on the loopback interface, whose certificate is for `name`."""
    certificate = Certificate(name, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = certificate.server_side().wrap_socket(server.socket, server_side=True)
    served = DocumentServer(f"https://{name}:{server.server_address[1]}", certificate.file)
    server.served = served  # type: ignore[attr-defined]  # where the handler finds it
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with what is published."""
        served: DocumentServer = self.server.served  # type: ignore[attr-defined]  # put there above
        served.requests[self.path] += 1
        document = served.documents.get(self.path)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(served.status if document is not None else 404)
        for name, value in served.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
