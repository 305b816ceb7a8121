"""Certificates of clients over real TLS and by a proxy's header (RFC 8705)."""

import base64
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil
import pytest
from cryptography import x509

from tests.application.client_certificates import SERVER_AUTH, Authority, Credential, self_signed
from tests.cli.running_service import free_port, run_command, running_service
from tests.http.live import FORM, INTROSPECT, REVOKE, TOKEN, Live
from tests.http.person import CALLBACK, a_person, a_web_client
from tests.postgres import Postgres
from tests.waiting import eventually

EVENTS = "/audit/events"
ENDPOINTS = (INTROSPECT, REVOKE, "/oauth/par", "/oauth/device_authorization")


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
    here = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
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
            running_service(folder / "data", port=None, **environment) as service,
            httpx.Client(base_url=service.url, timeout=20) as http,
        ):
            live = Live(service, http, url)
            agent, own = authority.sign(), self_signed(now=now)
            scene = Scene(live, f"https://127.0.0.1:{port}", folder, authority, agent, own)
            _register(scene)
            # Another process: it sees what was registered after a moment.
            eventually(lambda: _answers(port) and scene.ask(own, "own-agent").status_code == 200)
            yield scene


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _register(at: Scene) -> None:
    name = {"kind": "subject_dn", "value": "CN=agent,O=Example,C=DE"}
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
    signed, own = at.ask(at.agent), at.ask(at.own, "own-agent")
    with at.connected(at.agent) as http:
        form = {"client_id": "tls-agent", "token": signed.json()["access_token"]}
        shown = http.post(INTROSPECT, data=form).json()
    (entry, *_) = at.live.audit(client_id="own-agent", topic="token.issued")

    assert (signed.status_code, own.status_code) == (200, 200), signed.text
    assert (signed.json()["token_type"], own.json()["token_type"]) == ("Bearer", "Bearer")
    assert shown["cnf"] == {"x5t#S256": at.agent.thumbprint}
    assert entry["detail"]["authentication_method"] == "self_signed_tls_client_auth"
    assert entry["detail"]["credential_id"] == at.own.thumbprint


@pytest.mark.parametrize("path", ENDPOINTS)
def test_at_each_endpoint(at: Scene, path: str) -> None:
    """A certificate proves the client there too; without it, it is refused like all others."""
    form = {"client_id": "own-agent", "token": "x", "scope": "mcp"}
    with at.connected(at.own) as http, at.connected() as without:
        proved, refused = http.post(path, data=form), without.post(path, data=form)

    assert proved.json().get("error") != "invalid_client" if proved.content else True
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_over_tls_others_are_refused(at: Scene) -> None:
    """Other certificates, none, and no client_id: one answer, and the record knows better."""
    stranger = self_signed("CN=agent,O=Example,C=DE", now=at.authority.now)
    other = at.authority.sign("CN=other,O=Example,C=DE")
    answers = [
        at.ask(stranger),
        at.ask(other),
        at.ask(None),
        at.ask(at.agent, "own-agent"),
        at.ask(at.agent, ""),
        at.ask(at.agent, client_secret="gls_guess"),
    ]
    texts = {answer.json()["error_description"] for answer in answers[:4]}

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 400, 401]
    assert len(texts) == 1
    assert at.ask(at.agent).status_code == 200


def test_the_key_must_be_held(at: Scene) -> None:
    """A certificate without its key does not get through the handshake."""
    thief = Credential(at.agent.certificate, self_signed(now=at.authority.now).key)
    with pytest.raises(ssl.SSLError):
        at.connected(thief)


def test_a_bound_token_needs_its_certificate(at: Scene) -> None:
    """At our own endpoints: with another one or none, on either port, it is refused."""
    token = at.ask(at.agent, scope="audit:read").json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    with at.connected(at.agent) as right, at.connected(at.own) as wrong, at.connected() as none:
        statuses = [http.get(EVENTS, headers=headers).status_code for http in (right, wrong, none)]
    plain = at.live.http.get(EVENTS, headers=headers)
    passed_on = at.live.http.get(EVENTS, headers={**headers, "Client-Cert": header_of(at.agent)})

    assert statuses == [200, 401, 401]
    assert (plain.status_code, plain.json()["error"]) == (401, "invalid_token")
    assert passed_on.status_code == 200


def test_a_client_whose_tokens_are_bound_needs_one(at: Scene) -> None:
    """However it authenticates: no token without a certificate, and none bound to another key."""
    by_secret = at.live.register(
        "secret-and-certificate", scopes=["mcp"], tokens={"certificate_bound": True}
    )
    without = at.live.ask_token(by_secret)
    bound = at.live.http.post(
        TOKEN, auth=by_secret, data=FORM, headers={"Client-Cert": header_of(at.agent)}
    )
    shown = at.live.introspect(bound.json()["access_token"], by_secret)

    assert (without.status_code, without.json()["error"]) == (400, "invalid_request")
    assert shown["cnf"] == {"x5t#S256": at.agent.thumbprint}


def test_a_proxy_passes_certificates_on(at: Scene) -> None:
    """Over the plain port, from the address that was named; over TLS its header counts nothing."""
    form = {**FORM, "client_id": "tls-agent"}
    headers = {"Client-Cert": header_of(at.agent)}
    by_proxy = at.live.http.post(TOKEN, data=form, headers=headers)
    twice = at.live.http.post(TOKEN, data=form, headers=[*headers.items(), *headers.items()])
    garbled = at.live.http.post(TOKEN, data=form, headers={"Client-Cert": ":AAAA:"})
    with at.connected() as http:
        claimed = http.post(TOKEN, data=form, headers=headers)

    assert by_proxy.status_code == 200
    assert [answer.status_code for answer in (twice, garbled, claimed)] == [401, 401, 401]


def test_from_elsewhere_a_header_is_nothing(live: Live, at: Scene) -> None:
    """The same header at a service that named no proxy, X-Forwarded-For or not."""
    jwks = {"method": "self_signed_tls_client_auth", "jwks": [at.own.jwk()]}
    live.register("own-agent-elsewhere", scopes=["mcp"], authentication=jwks)
    headers = {"Client-Cert": header_of(at.own), "X-Forwarded-For": "127.0.0.1"}
    form = {**FORM, "client_id": "own-agent-elsewhere"}
    refused = live.http.post(TOKEN, data=form, headers=headers)

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_metadata(live: Live, at: Scene) -> None:
    """Clients find where to come with a certificate; elsewhere nothing of it is offered."""
    path = "/.well-known/oauth-authorization-server"
    found, elsewhere = at.live.http.get(path).json(), live.http.get(path).json()
    methods = {"tls_client_auth", "self_signed_tls_client_auth"}

    assert methods <= set(found["token_endpoint_auth_methods_supported"])
    assert found["tls_client_certificate_bound_access_tokens"] is True
    assert found["mtls_endpoint_aliases"]["token_endpoint"] == f"{at.url}{TOKEN}"
    assert not methods & set(elsewhere["token_endpoint_auth_methods_supported"])
    assert elsewhere["tls_client_certificate_bound_access_tokens"] is False
    assert "mtls_endpoint_aliases" not in elsewhere


def test_many_requests_on_one_connection(at: Scene) -> None:
    """Large and small, one after the other, each by the same certificate."""
    form = {**FORM, "client_id": "tls-agent"}
    with at.connected(at.agent) as http:
        statuses = [http.post(TOKEN, data=form).status_code for _ in range(20)]
        large = http.post(TOKEN, data={**form, "filler": "x" * 60_000})
        too_large = http.post(TOKEN, data={**form, "filler": "x" * 70_000})

    assert statuses == [200] * 20
    assert large.status_code in (200, 400)
    assert too_large.status_code == 413


def test_a_public_clients_refresh_tokens_are_bound(at: Scene) -> None:
    """RFC 8705, Section 4: without the certificate of the first token they are worth nothing, and
    presenting one ends nothing.
    """
    person = a_person(at.live, "mtls-person")
    app = a_web_client(
        at.live, "mtls-app", client_type="public", tokens={"certificate_bound": True}
    )

    def ask(credential: Credential, **form: str) -> httpx.Response:
        headers = {"Client-Cert": header_of(credential)}
        data = {"client_id": app.client_id, **form}
        return at.live.http.post(TOKEN, data=data, headers=headers)

    code = {"code": app.code_from(person), "code_verifier": app.verifier}
    first = ask(at.own, grant_type="authorization_code", redirect_uri=CALLBACK, **code).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    stolen = ask(at.agent, **refresh)
    without = at.live.http.post(TOKEN, data={"client_id": app.client_id, **refresh})
    right = ask(at.own, **refresh)

    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (without.status_code, without.json()["error"]) == (400, "invalid_grant")
    assert right.status_code == 200


def test_the_port_comes_back(at: Scene) -> None:
    """Where the process of the port dies, it is started again, and clients come in as before."""
    (listener,) = _listeners(at)
    listener.kill()
    eventually(lambda: any(other.pid != listener.pid for other in _listeners(at)), seconds=30)

    # The threads of the old process may hold its port for a moment longer than it has a name.
    eventually(lambda: _serves(at), seconds=30)


def _listeners(at: Scene) -> list[psutil.Process]:
    children = psutil.Process(at.live.service.process.pid).children()
    return [one for one in children if "api.mtls_listener" in _command_of(one)]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _serves(at: Scene) -> bool:
    try:
        return at.ask(at.agent).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("GRANTLEDGER_MTLS_CERTIFICATE_FILE", "GRANTLEDGER_MTLS_CERTIFICATE_FILE"),
        ("GRANTLEDGER_MTLS_KEY_FILE", "GRANTLEDGER_MTLS_CERTIFICATE_FILE"),
        ("GRANTLEDGER_CLIENT_CA_FILE", "GRANTLEDGER_CLIENT_CA_FILE"),
    ],
)
def test_files_that_are_of_no_use(at: Scene, tmp_path: Path, setting: str, names: str) -> None:
    """The start is refused with the setting's name, before anything listens."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    given = {
        "DATABASE_URL": at.live.database_url,
        "GRANTLEDGER_MTLS_PORT": str(free_port()),
        "GRANTLEDGER_MTLS_CERTIFICATE_FILE": str(at.folder / "server.pem"),
        setting: str(empty),
    }
    port = str(free_port())
    done = run_command("serve", "--data-dir", str(tmp_path), "--port", port, **given)

    assert done.returncode != 0
    assert names in done.stderr
