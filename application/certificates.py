"""A client's certificate: read once, told from others by its thumbprint (RFC 8705, Section 3.1).

Whoever comes with one proved in the TLS handshake to hold its key; nothing else of it is believed
here. What is read is bounded, and its key is strong (application.public_keys), of those beside it
as well: the path is verified with their keys, and anybody sends them.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from application.public_keys import (
    UnusableKey,
    canonical_jwk,
    imported_key,
    require_strong,
)
from domain.confirmation import CERTIFICATE, Confirmation

MAX_CHAIN = 6
MAX_BYTES = 16 * 1024
"""Of one certificate, DER."""


class UnreadableCertificate(Exception):
    """What came is no certificate; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate of a connection, and those that its sender put beside it.

    `thumbprint` is base64url of the SHA-256 of `der` (x5t#S256).
    """

    parsed: x509.Certificate = field(repr=False)
    der: bytes = field(repr=False)
    others: tuple[x509.Certificate, ...] = field(repr=False)
    thumbprint: str

    @property
    def confirmation(self) -> Confirmation:
        """What a token is bound to with it."""
        return Confirmation(CERTIFICATE, self.thumbprint)


def read_chain(chain: Sequence[bytes]) -> ClientCertificate:
    """Return the first of `chain` (DER) with the others beside it. Raises UnreadableCertificate."""
    if not 0 < len(chain) <= MAX_CHAIN:
        raise UnreadableCertificate("a chain that is too long")
    first, *others = [parsed(der) for der in chain]
    return ClientCertificate(first, chain[0], tuple(others), thumbprint(chain[0]))


def read_pem(text: bytes) -> ClientCertificate:
    """Return the first certificate of `text` (PEM). Raises UnreadableCertificate."""
    if len(text) > 2 * MAX_BYTES * MAX_CHAIN:
        raise UnreadableCertificate("a chain that is too long")
    try:
        chain = x509.load_pem_x509_certificates(text)
    except (ValueError, TypeError):
        raise UnreadableCertificate("no certificate") from None
    return read_chain([certificate.public_bytes(Encoding.DER) for certificate in chain])


def parsed(der: bytes) -> x509.Certificate:
    """Return the certificate. Raises UnreadableCertificate."""
    if len(der) > MAX_BYTES:
        raise UnreadableCertificate("a certificate that is too large")
    try:
        certificate = x509.load_der_x509_certificate(der)
        # Parts are decoded when they are asked for: what cannot be is found out now, once for all.
        _ = certificate.subject, certificate.issuer, certificate.extensions
        require_strong(certificate.public_key())
    except UnusableKey as error:
        raise UnreadableCertificate(f"a certificate with {error}") from None
    except Exception:  # the parser has many errors, and none may pass for a failure
        raise UnreadableCertificate("no certificate, or one that cannot be read") from None
    return certificate


def thumbprint(der: bytes) -> str:
    """Return `x5t#S256` of a certificate (RFC 8705, Section 3.1)."""
    return base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()


def confirmed_by_certificate(
    claims: Mapping[str, Any], certificate: ClientCertificate | None
) -> bool:
    """Tell whether a token that is bound to a certificate came with that one.

    A token that is bound to something else, or to nothing, is not confirmed by it.
    """
    try:
        bound_to = Confirmation.of(claims.get("cnf"))
    except ValueError:
        return False
    return certificate is not None and bound_to == certificate.confirmation


def registered_certificate(key: Mapping[str, Any]) -> bytes | None:
    """Return the certificate (DER) of a registered key, None where it has none.

    RFC 7517, Section 4.7: `x5c` is an array of base64, the key's own certificate first.
    """
    chain = key.get("x5c")
    if not isinstance(chain, list | tuple) or not chain or not isinstance(chain[0], str):
        return None
    try:
        return base64.b64decode(chain[0], validate=True)
    except (binascii.Error, ValueError):
        return None


def certifies(key: Mapping[str, Any]) -> bool:
    """Tell whether the certificate of a registered key can be read and is of that key.

    RFC 7517, Section 4.7: "The key in the first certificate MUST match the public key represented
    by other members of the JWK."
    """
    der = registered_certificate(key)
    if der is None:
        return False
    try:
        return bool(parsed(der).public_key() == imported_key(canonical_jwk(key)))
    except (UnreadableCertificate, UnusableKey):
        return False
