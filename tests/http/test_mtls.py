"""Certificates of clients over real TLS and by a proxy's header (RFC 8705)."""

import base64
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


import httpx
import pytest
from cryptography import x509

from tests.application.client_certificates import SERVER_AUTH, Authority, Credential, self_signed
from tests.cli.running_service import free_port, running_service
from tests.http.live import FORM, INTROSPECT, REVOKE, TOKEN, Live
from tests.postgres import Postgres
from tests.waiting import eventually

USERINFO = "/oauth/userinfo"
ENDPOINTS = (TOKEN, INTROSPECT, REVOKE, "/oauth/par", "/oauth/device_authorization")


@dataclass(frozen=True)
class Scene:
    """A service with TLS of its own that also believes the header of a proxy at 127.0.0.1."""

    live: Live
    url: str
    folder: Path
    authority: Authority
    agent: Credential
    own: Credential

    def connected(self, credential: Credential | None = None) -> httpx.Client:
        """Return a client over TLS, with a certificate if one is given."""
        context = ssl.create_default_context(cafile=str(self.folder / "server-ca.pem"))
        if credential is not None:
            name = f"{credential.thumbprint}.pem"
            context.load_cert_chain(credential.written_to(self.folder / name))
        return httpx.Client(base_url=self.url, verify=context, timeout=20)

    def ask(
        self, credential: Credential | None, client_id: str = "tls-agent", **form: str
    ) -> httpx.Response:
        """Ask for a token over TLS."""
        with self.connected(credential) as http:
            return http.post(TOKEN, data={**FORM, "client_id": client_id, **form})


@pytest.fixture(scope="module")
def at(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The service with two clients: "tls-agent" by its name, "own-agent" by its certificate."""
    folder: Path = tmp_path_factory.mktemp("mtls")
    now, port = dt.datetime.now(dt.UTC), free_port()
    authority, for_servers = Authority("clients", now=now), Authority("servers", now=now)
    (folder / "client-ca.pem").write_bytes(authority.pem)
    (folder / "server-ca.pem").write_bytes(for_servers.pem)
    here = [x509.DNSName("localhost"), x509.IPAddress(dt_ip("127.0.0.1"))]
    server = for_servers.sign("CN=server", names=here, usage=[SERVER_AUTH])
    environment = {
        "DATABASE_URL": "",
        "GRANTLEDGER_MTLS_PORT": str(port),
        "GRANTLEDGER_MTLS_CERTIFICATE_FILE": str(server.written_to(folder / "server.pem")),
        "GRANTLEDGER_CLIENT_CA_FILE": str(folder / "client-ca.pem"),
        "GRANTLEDGER_CLIENT_CERTIFICATE_HEADER": "Client-Cert",
        "GRANTLEDGER_CLIENT_CERTIFICATE_PROXIES": "127.0.0.1",
    }
    with postgres.database() as url:
        environment["DATABASE_URL"] = url
        with (
            running_service(folder / "data", **environment) as service,
            httpx.Client(base_url=service.url, timeout=20) as http,
        ):
            live = Live(service, http, url)
            agent, own = authority.sign(), self_signed(now=now)
            scene = Scene(live, f"https://127.0.0.1:{port}", folder, authority, agent, own)
            _register(scene)
            eventually(lambda: _answers(port))
            yield scene


def dt_ip(text: str) -> Any:
    """Return an address."""
    from ipaddress import ip_address

    return ip_address(text)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _register(at: Scene) -> None:
    name = {"kind": "subject_dn", "value": "CN=agent, O=Example, C=DE"}
    bound = {"scopes": ["mcp", "audit:read"], "tokens": {"certificate_bound": True}}
    here = {"allowed": [at.live.service.url], "default": [at.live.service.url]}
    by_name = {"method": "tls_client_auth", "certificate": name}
    own = {"method": "self_signed_tls_client_auth", "jwks": [at.own.jwk()]}
    for client_id, authentication in (("tls-agent", by_name), ("own-agent", own)):
        _, secret = at.live.register(
            client_id, authentication=authentication, audiences=here, **bound
        )
        assert secret == ""


def header_of(credential: Credential) -> str:
    """Return a certificate as RFC 9440 writes it."""
    return f":{base64.b64encode(credential.der).decode()}:"


def test_certificates_prove_clients(at: Scene) -> None:
    """One that an authority signed, and one that nobody did; tokens are bound, the record says."""
    signed = at.ask(at.agent)
    own = at.ask(at.own, "own-agent")
    shown = at.live.introspect(signed.json()["access_token"], at.live.demo)
    (entry, *_) = at.live.audit(client_id="tls-agent", topic="token.issued")
    print(signed.text, own.text, shown, entry)

    assert (signed.status_code, own.status_code) == (200, 200)
