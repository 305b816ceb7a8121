"""Where a client's certificate comes from, and what is not believed."""

import base64
from typing import Any
from urllib.parse import quote

import pytest

from api.client_certificate import client_certificate, endpoints_url, thumbprint_of
from application.certificates import MAX_BYTES, MAX_CHAIN, UnreadableCertificate
from application.settings import Settings, SettingsError, load_settings
from tests.application.client_certificates import Credential, self_signed
from tests.builders import NOON

OWN, OTHER = self_signed(now=NOON), self_signed(now=NOON)
PROXY = "10.0.0.7"


def settings(**given: Any) -> Settings:
    """Return settings that believe a proxy, unless told otherwise."""
    facts = {"client_certificate_header": "Client-Cert", "client_certificate_proxies": PROXY}
    return load_settings(**{**facts, **given})


def by_rfc9440(credential: Credential) -> bytes:
    """Return a certificate as RFC 9440 writes it."""
    return b":" + base64.b64encode(credential.der) + b":"


def a_request(
    *headers: tuple[bytes, bytes], peer: str | None = PROXY, tls: list[str] | None = None
) -> Any:
    """Return the scope of a request; `tls` is the chain of a connection to our own TLS."""
    extensions = {} if tls is None else {"tls": {"client_cert_chain": tls}}
    client = None if peer is None else (peer, 4711)
    return {"type": "http", "client": client, "headers": headers, "extensions": extensions}


CERT = (b"client-cert", by_rfc9440(OWN))
PEM = {"client_certificate_format": "pem", "client_certificate_header": "X-Client-Cert"}


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        (a_request(CERT), {}),
        (a_request(CERT, peer=f"::ffff:{PROXY}"), {}),
        (a_request(CERT, (b"client-cert-chain", by_rfc9440(OTHER))), {}),
        (a_request((b"x-client-cert", quote(OWN.pem).encode())), PEM),
        (a_request(peer="192.0.2.1", tls=[OWN.pem]), {}),
        (a_request((b"client-cert", by_rfc9440(OTHER)), tls=[OWN.pem]), {}),
    ],
    ids=["RFC 9440", "IPv4 in IPv6", "with a chain", "PEM", "own TLS", "own TLS first"],
)
def test_a_certificate_is_taken(scope: Any, given: dict[str, str]) -> None:
    """From the handshake, or from the proxy that was named."""
    found = client_certificate(scope, settings(**given))

    assert found is not None
    assert found.thumbprint == OWN.thumbprint == thumbprint_of(scope, settings(**given))


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        (a_request(), {}),
        (a_request((b"client-cert", b"")), {}),
        (a_request(CERT, peer="192.0.2.1"), {}),
        (a_request(CERT, peer=None), {}),
        (a_request(CERT, peer="unix:"), {}),
        (a_request(CERT, (b"x-forwarded-for", PROXY.encode()), peer="192.0.2.1"), {}),
        (a_request(CERT, peer="192.0.2.1"), {"trusted_proxies": "192.0.2.1"}),
        (a_request(CERT), {"client_certificate_header": "", "client_certificate_proxies": ""}),
        (a_request(CERT), {"client_certificate_header": "X-Other"}),
        (a_request((b"client-cert-chain", by_rfc9440(OWN))), {}),
        (a_request(CERT, tls=[]), {}),
    ],
    ids=[
        "no header",
        "an empty one",
        "from elsewhere",
        "from nowhere",
        "from a path",
        "forwarded for the proxy",
        "from a proxy of addresses",
        "not configured",
        "another header",
        "a chain alone",
        "own TLS without one",
    ],
)
def test_what_is_not_looked_at(scope: Any, given: dict[str, str]) -> None:
    """A header is nothing where nobody was named for it."""
    assert client_certificate(scope, settings(**given)) is None


@pytest.mark.parametrize(
    ("headers", "given"),
    [
        ([CERT, CERT], {}),
        ([CERT, (b"client-cert", b"")], {}),
        ([(b"client-cert", base64.b64encode(OWN.der))], {}),
        ([(b"client-cert", b":" + base64.b64encode(OWN.der))], {}),
        ([(b"client-cert", CERT[1] + b";a=1")], {}),
        ([(b"client-cert", CERT[1] + b", " + CERT[1])], {}),
        ([(b"client-cert", b":AAA:")], {}),
        ([(b"client-cert", b"::")], {}),
        ([(b"client-cert", b":" + base64.b64encode(OWN.der[:-1]) + b":")], {}),
        ([(b"client-cert", b":" + base64.b64encode(OWN.der + b"\x00") + b":")], {}),
        ([(b"client-cert", b":" + base64.b64encode(b"\x30" * (MAX_BYTES + 1)) + b":")], {}),
        ([CERT, (b"client-cert-chain", b", ".join([CERT[1]] * MAX_CHAIN))], {}),
        ([CERT, (b"client-cert-chain", b"x")], {}),
        ([(b"client-cert", quote(OWN.pem).encode())], {}),
        ([(b"x-client-cert", b"%2D%2D")], PEM),
        ([(b"x-client-cert", b"\xff\xfe")], PEM),
        ([(b"x-client-cert", quote(OWN.pem.replace("M", "?")).encode())], PEM),
        ([(b"x-client-cert", quote(OWN.pem * (MAX_CHAIN + 1)).encode())], PEM),
        ([(b"x-client-cert", b"A" * 300_000)], PEM),
        ([(b"x-client-cert", by_rfc9440(OWN))], PEM),
    ],
)
def test_what_cannot_be_read_is_refused(
    headers: list[tuple[bytes, bytes]], given: dict[str, str]
) -> None:
    """It is never taken for none, quoted nowhere, and no token is confirmed by it."""
    with pytest.raises(UnreadableCertificate) as refusal:
        client_certificate(a_request(*headers), settings(**given))

    assert len(str(refusal.value)) < 60
    assert thumbprint_of(a_request(*headers), settings(**given)) is None


def test_proofs_are_for_what_was_called() -> None:
    """With a certificate, at the URL of certificates where there is one; else at the issuer's."""
    given = settings(issuer="https://a.example", mtls_url="https://mtls.a.example")
    plain, tls = a_request(), a_request(tls=[])
    certificate = client_certificate(a_request(CERT), given)

    assert endpoints_url(plain, None, given) == "https://a.example"
    assert endpoints_url(tls, None, given) == "https://mtls.a.example"
    assert endpoints_url(plain, certificate, given) == "https://mtls.a.example"
    assert endpoints_url(plain, certificate, settings(issuer="https://a.example")) == (
        "https://a.example"
    )


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, None),
        ({"mtls_port": 8443, "mtls_certificate_file": "server.pem"}, "https://a.example:8443"),
        ({"mtls_url": "https://mtls.a.example"}, "https://mtls.a.example"),
    ],
)
def test_the_url_of_certificates(given: dict[str, Any], base: str | None) -> None:
    """As set, else the issuer's host at the port."""
    assert settings(issuer="https://a.example:444", **given).mtls_base_url == base


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"client_certificate_proxies": ""}, "GRANTLEDGER_CLIENT_CERTIFICATE_PROXIES"),
        ({"client_certificate_proxies": "proxy.example"}, "GRANTLEDGER_CLIENT_CERTIFICATE_PROXIES"),
        ({"client_certificate_header": "a b"}, "GRANTLEDGER_CLIENT_CERTIFICATE_HEADER"),
        ({"mtls_port": 8443}, "GRANTLEDGER_MTLS_CERTIFICATE_FILE"),
        ({"mtls_url": "https://a.example/"}, "GRANTLEDGER_MTLS_URL"),
        ({"mtls_url": "http://a.example"}, "GRANTLEDGER_MTLS_URL"),
    ],
)
def test_wrong_settings(given: dict[str, Any], says: str) -> None:
    """One line names it."""
    with pytest.raises(SettingsError, match=says):
        settings(**given)
