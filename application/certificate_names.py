"""Whether a certificate carries the name that its client is registered by.

RFC 8705, Section 2.1.2: exactly one kind of name is registered, and only that kind is looked at.
Names are compared as what they mean, never as they are printed: distinguished names part by part,
host names without case, addresses as numbers. A wildcard is a name like any other.
"""

from ipaddress import ip_address

from cryptography import x509
from cryptography.x509.oid import NameOID

from domain.client_configuration import CertificateName
from domain.visible_text import problem_with_name

# Beside the short names of RFC 4514, Section 3; any other type is written as its number.
_TYPES = {
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "organizationIdentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "GN": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "title": NameOID.TITLE,
}


def require_comparable(name: CertificateName) -> None:
    """Raise ValueError for a name that no certificate can carry, or that hides something."""
    if (problem := problem_with_name(name.value)) is not None:
        raise ValueError(problem)
    if name.kind == "subject_dn":
        _distinguished(name.value)
    elif name.kind == "san_ip":
        ip_address(name.value)
    elif name.kind == "san_email" and "@" not in name.value:
        raise ValueError("no address of mail")


def carries(certificate: x509.Certificate, name: CertificateName) -> bool:
    """Tell whether `certificate` carries `name`. Raises ValueError as `require_comparable`."""
    if name.kind == "subject_dn":
        return certificate.subject == _distinguished(name.value)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    match name.kind:
        case "san_dns":
            hosts = found.get_values_for_type(x509.DNSName)
            return name.value.lower() in {host.lower() for host in hosts}
        case "san_uri":
            return name.value in found.get_values_for_type(x509.UniformResourceIdentifier)
        case "san_ip":
            return ip_address(name.value) in found.get_values_for_type(x509.IPAddress)
        case "san_email":
            boxes = found.get_values_for_type(x509.RFC822Name)
            return _mailbox(name.value) in {_mailbox(box) for box in boxes}


def _distinguished(text: str) -> x509.Name:
    name = x509.Name.from_rfc4514_string(text, _TYPES)
    if not name.rdns:
        raise ValueError("no distinguished name")
    return name


def _mailbox(address: str) -> tuple[str, str]:
    """RFC 5280, Section 7.5: the local part is compared exactly, the host without case."""
    local, _, host = address.rpartition("@")
    return local, host.lower()
