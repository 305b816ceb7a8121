"""Who is asking: client authentication by a certificate (RFC 8705, Section 2).

1 the client is known and registered for it, and presented nothing else, 2 the connection has a
certificate, 3 it is in its time, 4 for tls_client_auth an authority of ours signed it, for the use
by clients, 5 and it carries the one name that is registered; for self_signed_tls_client_auth it is
one of the client's own, to the byte (Section 2.2), 6 the client is enabled.

That the sender holds the key was proved in the handshake: only there (api.client_certificate).
Whatever fails, the caller reads the same text. Nothing here is a secret, so there is nothing to
compare in constant time.
"""

from datetime import datetime

from cryptography import x509

from application.certificate_authorities import Authorities
from application.certificate_names import carries
from application.certificates import ClientCertificate, registered_certificate
from application.client_authentication import AuthenticatedClient, PresentedCredentials
from application.client_keys import ClientKeys
from application.errors import InvalidClient
from application.outbound import OutboundError
from application.ports import Directory
from domain.client import Client
from domain.client_configuration import BY_CERTIFICATE, TLS_CLIENT_AUTH


class CertificateClients:
    """Authenticates clients by the certificates of their connections."""

    def __init__(
        self, directory: Directory, keys: ClientKeys, authorities: Authorities | None
    ) -> None:
        self._directory = directory
        self._authorities = authorities
        self._keys = keys

    def concerned(self, presented: PresentedCredentials) -> bool:
        """1. A certificate alone asks for nothing: many connections have one for other reasons."""
        client = self._directory.client(presented.client_id)
        named_only = presented.secret is None and presented.assertion is None
        return client is not None and named_only and client.authentication.method in BY_CERTIFICATE

    async def authenticate(
        self,
        presented: PresentedCredentials,
        certificate: ClientCertificate | None,
        now: datetime,
    ) -> AuthenticatedClient:
        """Return the client that a certificate proves. Raises InvalidClient, the cause in it."""
        client = self._directory.client(presented.client_id)
        method = client.authentication.method if client is not None else None
        if client is None or method not in BY_CERTIFICATE:  # 1
            raise InvalidClient(reason="not the client's authentication method")
        if certificate is None:  # 2
            raise InvalidClient(reason="no client certificate")
        _require_in_time(certificate.parsed, now)  # 3
        if method == TLS_CLIENT_AUTH:
            self._require_vouched(client, certificate, now)  # 4, 5
        else:
            await self._require_own(client, certificate, now)  # 5
        if not client.enabled:  # 6
            raise InvalidClient(reason="client disabled")
        return AuthenticatedClient(client, method, certificate.thumbprint)

    def _require_vouched(
        self, client: Client, certificate: ClientCertificate, now: datetime
    ) -> None:
        if self._authorities is None:
            raise InvalidClient(reason="client certificate: no authority is configured")
        problem = self._authorities.problem_with(certificate, now)
        if problem is not None:  # 4
            raise InvalidClient(reason=f"client certificate: {problem}")
        name = client.authentication.certificate
        if name is None or not _carries(certificate.parsed, client):  # 5
            raise InvalidClient(reason="client certificate: another name")

    async def _require_own(
        self, client: Client, certificate: ClientCertificate, now: datetime
    ) -> None:
        """5."""
        published = self._keys.published(client)
        if published is None:
            own = any(_is(key, certificate) for key in client.authentication.jwks)
        else:
            try:
                own = any(_is(key, certificate) for key in await published.all(now)) or any(
                    _is(key, certificate) for key in await published.newer(now)
                )
            except OutboundError as error:
                raise InvalidClient(reason=f"client certificate: keys: {error.reason}") from None
        if not own:
            raise InvalidClient(reason="client certificate: not one of the client's")


def _require_in_time(certificate: x509.Certificate, now: datetime) -> None:
    """3. RFC 5280, Section 4.1.2.5: both ends are in it."""
    if now < certificate.not_valid_before_utc:
        raise InvalidClient(reason="client certificate: not valid yet")
    if now > certificate.not_valid_after_utc:
        raise InvalidClient(reason="client certificate: expired")


def _carries(certificate: x509.Certificate, client: Client) -> bool:
    name = client.authentication.certificate
    try:
        return name is not None and carries(certificate, name)
    except ValueError:
        return False


def _is(key: object, certificate: ClientCertificate) -> bool:
    return isinstance(key, dict) and registered_certificate(key) == certificate.der
