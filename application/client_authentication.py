"""Who is asking: client authentication by a shared secret (RFC 6749, Section 2.3.1).

1 something was presented, 2 the client is known, 3 a public client only names itself, 4 a
confidential client's secret is one of its usable ones, presented by the method it is registered
for, 5 the client is enabled. Assertions are for application.client_assertions.

Whatever fails, the caller reads the same text, after the same work: 2 to 5 would otherwise tell an
attacker which client ids exist. 5 comes last, so that only the holder of the secret waits on it.
"""

from dataclasses import dataclass
from datetime import datetime

from application.errors import InvalidClient, from_domain
from application.ports import Directory
from application.secret_keys import Peppers, PresentedSecret
from application.unverified_jwt import UnverifiedJwt
from domain.client import Client
from domain.client_configuration import ClientType
from domain.errors import DomainError


@dataclass(frozen=True, slots=True)
class PresentedCredentials:
    """What the request carried. `method` is the registered name (RFC 7591, Section 2).

    `assertion` is that of private_key_jwt, unread; `client_id` is then what the request names
    beside it, or what the assertion says of itself.
    """

    client_id: str
    secret: PresentedSecret | None
    method: str
    assertion: UnverifiedJwt | None = None


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that proved who it is; `credential_id` names the secret that proved it."""

    client: Client
    method: str
    credential_id: str

    def require_grant(self, grant_type: str) -> None:
        """Raise UnauthorizedClient unless it is confidential and may use a grant type.

        For grants that look at what others signed before they decide.
        """
        try:
            self.client.require_grant(grant_type)
        except DomainError as error:
            raise from_domain(error) from error


def authenticate(
    presented: PresentedCredentials | None,
    *,
    directory: Directory,
    peppers: Peppers,
    now: datetime,
) -> AuthenticatedClient:
    """Return the client that `presented` proves. Raises InvalidClient, the cause in its reason."""
    if presented is None:  # 1
        raise InvalidClient(reason="no client authentication")
    client = directory.client(presented.client_id)  # 2
    if client is None:
        if presented.secret is not None:
            peppers.never(presented.secret)
        raise InvalidClient(reason="unknown client")
    credential_id = _prove(client, presented, peppers=peppers, now=now)  # 3, 4
    if not client.enabled:  # 5
        raise InvalidClient(reason="client disabled")
    return AuthenticatedClient(client, presented.method, credential_id)


def _prove(
    client: Client, presented: PresentedCredentials, *, peppers: Peppers, now: datetime
) -> str:
    secret = presented.secret
    if client.client_type is ClientType.PUBLIC:
        if secret is not None:
            peppers.never(secret)
            raise InvalidClient(reason="a public client presented a secret")
        return ""
    if secret is None:
        raise InvalidClient(reason="no secret presented")
    if client.authentication.method not in (None, presented.method):
        peppers.never(secret)
        raise InvalidClient(reason="not the client's authentication method")
    # Every usable secret is compared, so that the time does not tell which one fitted.
    fitting = [
        kept.secret_id
        for kept in client.usable_secrets(now)
        if peppers.matches(secret, pepper_id=kept.pepper_id, verifier=kept.verifier)
    ]
    if fitting:
        return fitting[0]
    ended = [kept for kept in client.secrets if not kept.usable(now)]
    if not client.usable_secrets(now):
        peppers.never(secret)
        raise InvalidClient(reason="no usable secret")
    if any(
        peppers.matches(secret, pepper_id=kept.pepper_id, verifier=kept.verifier) for kept in ended
    ):
        raise InvalidClient(reason="retired secret")
    raise InvalidClient(reason="wrong secret")
