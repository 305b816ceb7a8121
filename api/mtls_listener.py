"""The process of our own TLS: the same application, on a port that asks clients for certificates.

Granian terminates TLS but tells the application nothing of the client's certificate; uvicorn serves
this one port instead, with the TLS of api.tls_context (decision 20). The certificate reaches the
application beside the request and not in it (ASGI TLS extension): no header could claim one.

A connection that sends nothing whole for 10 seconds is closed, as on the other port.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from api.client_certificate import TLS
from api.parent_process import when_parent_ends
from api.tls_context import TlsSession, asking_context
from api.worker import application
from application.settings import Settings, load_settings

HEADER_SECONDS = 10.0
STOP_SECONDS = 15
_MAX_HEADER_BYTES = 128 * 1024
_MAX_CONNECTIONS = 1000

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class CertificateProtocol(H11Protocol):
    """HTTP over a connection whose certificate goes with each of its requests."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Note the certificate; wait for a request from now on."""
        super().connection_made(transport)
        session = cast("TlsSession", transport.get_extra_info("ssl_object"))
        self.app = cast("Any", _with_certificate(cast("Asgi", self.app), session.client_chain()))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Go on; where a request is under way, it is its own to wait."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        under_way = cycle is not None and not cycle.response_complete
        if under_way:
            self._stop_waiting()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _with_certificate(app: Asgi, chain: list[str]) -> Asgi:
    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        extensions = {**scope.get("extensions", {}), TLS: {"client_cert_chain": chain}}
        await app({**scope, "extensions": extensions}, receive, send)

    return with_certificate


def listener(settings: Settings) -> uvicorn.Server:
    """Return the server, not started. Raises SettingsError for unusable files."""
    assert settings.mtls_port is not None
    assert settings.mtls_certificate_file is not None
    context = asking_context(settings.mtls_certificate_file, settings.mtls_key_file)
    return uvicorn.Server(
        uvicorn.Config(
            application,
            factory=True,
            host=settings.host,
            port=settings.mtls_port,
            http=CertificateProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            ssl_context_factory=lambda *_: context,
            # It would believe X-Forwarded-For of whoever is on this machine.
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="warning",
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )


def main() -> None:
    """Serve until told to stop, or until the process that began this one ends."""
    when_parent_ends(int(sys.argv[1]), lambda: os.kill(os.getpid(), signal.SIGTERM))
    listener(load_settings()).run()


if __name__ == "__main__":
    main()
