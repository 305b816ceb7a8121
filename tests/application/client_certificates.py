"""Certificates of clients for tests: an authority, what it signs, and what nobody signed."""

import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from application.certificates import ClientCertificate, read_chain, thumbprint

DAY = dt.timedelta(days=1)
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Credential:
    """A certificate and its key; `chain` is what the holder sends beside it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        """The same as text, without what is beside it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def thumbprint(self) -> str:
        """`x5t#S256`."""
        return thumbprint(self.der)

    def presented(self) -> ClientCertificate:
        """Return it as the certificate of a connection."""
        return read_chain([self.der, *(one.public_bytes(Encoding.DER) for one in self.chain)])

    def jwk(self, kid: str = "certificate-1") -> dict[str, Any]:
        """Return it as a client registers it."""
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        public = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**public, "kid": kid, "x5c": [base64.b64encode(self.der).decode()]}

    def written_to(self, file: Path) -> Path:
        """Write key, certificate and chain to a file, and return it."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        texts = [one.public_bytes(Encoding.PEM) for one in (self.certificate, *self.chain)]
        file.write_bytes(b"".join([key, *texts]))
        return file

    def with_chain(self, *chain: x509.Certificate) -> Self:
        """Return it with other certificates beside it."""
        return type(self)(self.certificate, self.key, chain)


class Authority:
    """Signs certificates; `above` signed its own, else it did itself."""

    def __init__(self, name: str, *, now: dt.datetime, above: "Authority | None" = None) -> None:
        self.now = now
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = above or self
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self.certificate = (
            _builder(self.name, issuer.name, self.key, issuer.key, now - DAY, now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(issuer.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """Its certificate as text."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(
        self,
        subject: str = "CN=agent,O=Example,C=DE",
        *,
        names: Sequence[x509.GeneralName] = (),
        usage: Sequence[x509.ObjectIdentifier] | None = (CLIENT_AUTH,),
        begins: dt.datetime | None = None,
        ends: dt.datetime | None = None,
    ) -> Credential:
        """Return a certificate for `subject` (RFC 4514)."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(
            x509.Name.from_rfc4514_string(subject),
            self.name,
            key,
            self.key,
            begins or self.now - DAY,
            ends or self.now + DAY,
        )
        return Credential(_extended(builder, names, usage).sign(self.key, hashes.SHA256()), key)


def self_signed(
    subject: str = "CN=agent",
    *,
    now: dt.datetime,
    key: ec.EllipticCurvePrivateKey | None = None,
    names: Sequence[x509.GeneralName] = (),
    begins: dt.datetime | None = None,
    ends: dt.datetime | None = None,
) -> Credential:
    """Return a certificate that its own key signed."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject)
    builder = _builder(name, name, key, key, begins or now - DAY, ends or now + DAY)
    return Credential(_extended(builder, names, None).sign(key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    begins: dt.datetime,
    ends: dt.datetime,
) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(authority, critical=False)
        .add_extension(own, critical=False)
    )


def _extended(
    builder: x509.CertificateBuilder,
    names: Sequence[x509.GeneralName],
    usage: Sequence[x509.ObjectIdentifier] | None,
) -> x509.CertificateBuilder:
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    return builder
