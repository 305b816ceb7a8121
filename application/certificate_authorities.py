"""The authorities whose word about a client's certificate counts (RFC 5280, Section 6).

Only those of the deployment's file: never those that the system trusts for web sites, of which any
could sign any name. The rules are those of the library's verifier, except that a certificate of a
client needs no alternative name: subject_dn knows it by its subject.
"""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from application.certificates import MAX_CHAIN, ClientCertificate
from application.settings import SettingsError


class Authorities:
    """Verifies chains up to the certificates that it is made of, one at least."""

    def __init__(self, certificates: list[x509.Certificate]) -> None:
        leaf = ExtensionPolicy.webpki_defaults_ee().may_be_present(
            x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
        )
        self._policy = (
            PolicyBuilder()
            .store(Store(certificates))
            .max_chain_depth(MAX_CHAIN)
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
        )

    def problem_with(self, certificate: ClientCertificate, now: datetime) -> str | None:
        """Return why a certificate does not count, None where it does. Quotes nothing of it."""
        if not _for_clients(certificate.parsed):
            return "not for the authentication of clients"
        verifier = self._policy.time(now).build_client_verifier()
        try:
            verifier.verify(certificate.parsed, list(certificate.others))
        except (VerificationError, ValueError):
            return "no trusted authority signed it, or not like this"
        return None


def load_authorities(path: Path | None) -> Authorities | None:
    """Return those of the file (PEM), None without one. Raises SettingsError."""
    if path is None:
        return None
    try:
        return Authorities(x509.load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise SettingsError(f"GRANTLEDGER_CLIENT_CA_FILE: {error.strerror}") from None
    except ValueError:
        raise SettingsError("GRANTLEDGER_CLIENT_CA_FILE: no certificates in PEM") from None


def _for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage
