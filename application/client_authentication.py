"""Who is asking: client authentication by a shared secret (RFC 6749, Section 2.3.1).

1 something was presented, 2 the client is known, 3 a public client only names itself, 4 a
confidential client's secret is one of its usable ones, presented by the method it is registered
for, 5 the client is enabled. Assertions are for application.client_assertions.

Whatever fails, the caller reads the same text, after the same work: 2 to 5 would otherwise tell an
attacker which client ids exist. 5 comes last, so that only the holder of the secret waits on it.
"""

from datetime import UTC, datetime

import msgspec

from application.errors import InvalidClient, from_domain
from application.ports import Directory
from application.secret_keys import Peppers, PresentedSecret
from application.unverified_jwt import UnverifiedJwt
from domain.client import Client
from domain.client_configuration import ClientType
from domain.client_secret import ClientSecret
from domain.errors import DomainError


class PresentedCredentials(msgspec.Struct, frozen=True):
    """What the request carried. `method` is the registered name (RFC 7591, Section 2).

    `assertion` is that of private_key_jwt, unread; `client_id` is then what the request names
    beside it, or what the assertion says of itself.
    """

    client_id: str
    secret: PresentedSecret | None
    method: str
    assertion: UnverifiedJwt | None = None


class AuthenticatedClient(msgspec.Struct, frozen=True):
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
    if presented.secret is None:
        credential_id = _named_only(client)  # 3
    else:
        credential_id = _prove(client, presented, presented.secret, peppers=peppers, now=now)  # 4
    if client is None:
        raise InvalidClient(reason="unknown client")
    if not client.enabled:  # 5
        raise InvalidClient(reason="client disabled")
    return AuthenticatedClient(client, presented.method, credential_id)


def _named_only(client: Client | None) -> str:
    """3. Return that nothing proved it, "", for a public client. Raises InvalidClient."""
    if client is None:
        raise InvalidClient(reason="unknown client")
    if client.client_type is not ClientType.PUBLIC:
        raise InvalidClient(reason="no secret presented")
    return ""


def _prove(
    client: Client | None,
    presented: PresentedCredentials,
    secret: PresentedSecret,
    *,
    peppers: Peppers,
    now: datetime,
) -> str:
    """4. Return which of the client's secrets `secret` is. Raises InvalidClient.

    Where it cannot be any, it is compared with one that nobody has, by the same steps.
    """
    refusal = _refusal(client, presented)
    secrets = _NOBODYS if client is None or refusal else client.secrets
    # Every usable secret is compared, so that the time does not tell which one fitted.
    fitting = [
        kept.secret_id for kept in secrets if kept.usable(now) and _is(kept, secret, peppers)
    ]
    if fitting:
        return fitting[0]
    ended = [kept for kept in secrets if not kept.usable(now)]
    if len(ended) == len(secrets):
        peppers.never(secret)
        raise InvalidClient(reason="no usable secret")
    if any(_is(kept, secret, peppers) for kept in ended):
        raise InvalidClient(reason="retired secret")
    raise InvalidClient(reason=refusal or "wrong secret")


def _refusal(client: Client | None, presented: PresentedCredentials) -> str:
    """Return why no secret can prove the client, "" where one can."""
    if client is None:  # 2
        return "unknown client"
    if client.client_type is ClientType.PUBLIC:  # 3
        return "a public client presented a secret"
    if client.authentication.method not in (None, presented.method):  # 4
        return "not the client's authentication method"
    return ""


def _is(kept: ClientSecret, secret: PresentedSecret, peppers: Peppers) -> bool:
    return peppers.matches(secret, pepper_id=kept.pepper_id, verifier=kept.verifier)


# Under no pepper: Peppers.matches() compares with what fits nothing.
_NOBODYS = (ClientSecret("", "", "", datetime.min.replace(tzinfo=UTC)),)
