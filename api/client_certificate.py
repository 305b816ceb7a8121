"""The client's certificate of a request, and whose word is taken for it.

Only who terminated TLS saw the client prove that it holds the certificate's key. So:

1 at our own TLS (api.mtls_listener) it is what the handshake brought (ASGI TLS extension), and no
header counts, 2 elsewhere a header counts only if it was configured, and only from the address of a
proxy that was named for it, by the address of the connection and never by X-Forwarded-For: from
anywhere else it is a header like any other, and nobody looks at it, 3 it comes once, 4 as RFC 9440,
or as PEM in URL encoding. What cannot be read is refused and never taken for none.
"""

import base64
import binascii
import re
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import unquote_to_bytes

from litestar.types import Scope

from application.certificates import (
    ClientCertificate,
    UnreadableCertificate,
    read_chain,
    read_pem,
)
from application.settings import Settings

TLS = "tls"
"""The ASGI TLS extension, version 0.2."""
_BYTES = re.compile(rb":([A-Za-z0-9+/]*={0,2}):")  # RFC 8941, Section 3.3.5


def client_certificate(scope: Scope, settings: Settings) -> ClientCertificate | None:
    """Return the certificate, None where there is none. Raises UnreadableCertificate."""
    tls = _own_tls(scope)
    if tls is not None:  # 1
        chain = tls["client_cert_chain"]
        return read_pem("".join(chain).encode()) if chain else None
    name = settings.client_certificate_header.lower().encode()
    if not name or _peer(scope) not in settings.client_certificate_proxies:  # 2
        return None
    values = _values(scope, name)
    if len(values) > 1:  # 3
        raise UnreadableCertificate("more than one header")
    if not values or not values[0]:  # what proxies send of a connection without one
        return None
    if settings.client_certificate_format == "pem":  # 4
        return read_pem(unquote_to_bytes(values[0]))
    others = _values(scope, name + b"-chain")
    return read_chain([_byte_sequence(values[0]), *map(_byte_sequence, _members(others))])


def thumbprint_of(scope: Scope, settings: Settings) -> str | None:
    """Return `x5t#S256` of the certificate, None where there is none that can be read."""
    try:
        certificate = client_certificate(scope, settings)
    except UnreadableCertificate:
        return None
    return certificate.thumbprint if certificate else None


def endpoints_url(scope: Scope, certificate: ClientCertificate | None, settings: Settings) -> str:
    """Return what the URL begins with that the client called: proofs are made for it (RFC 9449)."""
    for_certificates = settings.mtls_base_url
    if for_certificates is not None and (certificate is not None or _own_tls(scope) is not None):
        return for_certificates
    return settings.issuer_url


def _own_tls(scope: Scope) -> dict[str, list[str]] | None:
    extensions: Any = scope.get("extensions") or {}
    found: dict[str, list[str]] | None = extensions.get(TLS)
    return found


def _peer(scope: Scope) -> str:
    client = scope["client"]
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:
        return ""
    # A socket that takes both families tells of IPv4 like this.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value.strip() for found, value in scope["headers"] if found == name]


def _members(values: list[bytes]) -> list[bytes]:
    """RFC 9440, Section 2.2: a list, that may be in several lines."""
    return [member.strip() for value in values for member in value.split(b",")]


def _byte_sequence(value: bytes) -> bytes:
    """RFC 9440, Section 2.1."""
    match = _BYTES.fullmatch(value)
    if match is None:
        raise UnreadableCertificate("malformed header")
    try:
        return base64.b64decode(match[1], validate=True)
    except binascii.Error:
        raise UnreadableCertificate("malformed header") from None
