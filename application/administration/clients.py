"""Register and configure clients. A secret is returned once, where it is made, and never again."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from application.administration.deciding import DecidingService, begin, decide
from application.certificate_names import require_comparable
from application.certificates import certifies
from application.errors import InvalidRequest, from_domain
from application.foreign_jwt import usable_keys
from application.public_keys import UnusableKey, canonical_jwk
from application.secret_keys import Peppers, PresentedSecret
from domain.client import Client
from domain.client_configuration import (
    SELF_SIGNED_TLS_CLIENT_AUTH,
    SIGNING_ALGORITHMS,
    WITHOUT_SECRET,
    Audiences,
    Authentication,
    ClientConfiguration,
    ClientType,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from domain.errors import DomainError
from domain.permissions import Catalogue
from domain.principal import Principal
from domain.provenance import Provenance

SECRET_PREFIX = "gls_"  # noqa: S105  # marks our secrets for secret scanners
_SECRET_BYTES = 32
BY_SECRET = ("client_secret_basic", "client_secret_post")
DEFAULT_OVERLAP = timedelta(hours=24)
MAX_KEY_BYTES = 4096
"""Of a registered key as JSON: one of RSA with 4096 bits and its certificate has 2.6 KB."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made: `value` is shown once and kept nowhere."""

    secret_id: str
    value: str = field(repr=False)


class SigningAlgorithms(Protocol):
    """Which algorithms the deployment signs with."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The names, the default first."""


class Offering(Protocol):
    """What knows what the deployment offers to clients."""

    @property
    def keys(self) -> SigningAlgorithms:
        """By what it signs."""

    @property
    def auth_methods(self) -> frozenset[str]:
        """By what they may authenticate."""


class _Service(Offering, DecidingService, Protocol):
    @property
    def peppers(self) -> Peppers: ...

    @property
    def catalogue(self) -> Catalogue: ...


async def register(
    configuration: ClientConfiguration, *, service: _Service, provenance: Provenance
) -> tuple[Client, NewSecret | None]:
    """Register a client; a confidential one gets its first secret in the same unit, unless it
    authenticates by a key or a certificate.

    Raises ConflictingState for a name that is taken, InvalidScope for an unknown scope,
    InvalidRequest for an unknown owner or an algorithm that the deployment does not sign with,
    LedgerUnavailable.
    """
    if configuration.registration != Registration():
        raise InvalidRequest("registration: that is for clients that register themselves")
    require_offered(configuration.tokens, service)
    require_usable(configuration.authentication)
    require_method(configuration.client_type, configuration.authentication, service)
    await _owner_exists(configuration.owner, service)
    try:
        client = Client.register(configuration, catalogue=service.catalogue, provenance=provenance)
    except DomainError as error:
        raise from_domain(error) from error
    secret = None
    secretless = configuration.authentication.method in WITHOUT_SECRET
    if configuration.client_type is ClientType.CONFIDENTIAL and not secretless:
        secret, verifier = new_secret(service.peppers)
        client.add_secret(
            secret_id=secret.secret_id,
            pepper_id=service.peppers.current.key_id,
            verifier=verifier,
            provenance=provenance,
        )
    await begin(service.log, client, name=configuration.client_id)
    return client, secret


async def rotate_secret(
    client_id: str,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    service: _Service,
    provenance: Provenance,
) -> tuple[Client, NewSecret]:
    """Give the client a new secret; the present ones end after `overlap`.

    Raises NotFound, InvalidRequest for a public client or a negative overlap, LedgerUnavailable.
    """
    if overlap < timedelta(0):
        raise InvalidRequest("the overlap must not be negative")
    secret, verifier = new_secret(service.peppers)

    def rotate(client: Client) -> None:
        client.rotate_secret(
            secret_id=secret.secret_id,
            pepper_id=service.peppers.current.key_id,
            verifier=verifier,
            overlap=overlap,
            provenance=provenance,
        )

    client = await decide(service, Client.stream(client_id), Client, rotate, name=client_id)
    return client, secret


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change on a client; None leaves it. `owner` "" takes the owner away."""

    scopes: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None
    audiences: Audiences | None = None
    owner: str | None = None
    tokens: TokenPolicy | None = None
    redirects: Redirects | None = None
    refresh: RefreshPolicy | None = None
    delegation: Delegation | None = None
    authentication: Authentication | None = None
    authorization_details_types: tuple[str, ...] | None = None
    enabled: bool | None = None


async def change(
    client_id: str, changes: Changes, *, service: _Service, provenance: Provenance
) -> Client:
    """Change a client, all of it in one unit, and return it.

    Raises NotFound, InvalidScope, InvalidRequest, TemporarilyUnavailable, LedgerUnavailable.
    """
    require_offered(changes.tokens, service)
    require_usable(changes.authentication)
    await _owner_exists(changes.owner, service)

    def apply(client: Client) -> None:
        if changes.authentication is not None:
            require_method(client.client_type, changes.authentication, service)
        if changes.scopes is not None:
            client.set_scopes(changes.scopes, catalogue=service.catalogue, provenance=provenance)
        if changes.grant_types is not None:
            client.set_grant_types(changes.grant_types, provenance=provenance)
        if changes.owner is not None:
            client.set_owner(changes.owner or None, provenance=provenance)
        for value, replace in (
            (changes.audiences, client.set_audiences),
            (changes.tokens, client.set_token_policy),
            (changes.redirects, client.set_redirects),
            (changes.refresh, client.set_refresh_policy),
            (changes.delegation, client.set_delegation),
            (changes.authentication, client.set_authentication),
            (changes.authorization_details_types, client.set_authorization_details_types),
        ):
            if value is not None:
                replace(value, provenance=provenance)  # type: ignore[arg-type]  # each its own
        if changes.enabled is not None:
            (client.enable if changes.enabled else client.disable)(provenance)

    return await decide(service, Client.stream(client_id), Client, apply, name=client_id)


def require_offered(tokens: TokenPolicy | None, service: Offering) -> None:
    """Raise InvalidRequest for an algorithm that the deployment does not sign with."""
    # Accepted, it would answer every token request of the client with 503.
    offered = service.keys.algorithms
    if tokens is not None and tokens.signing_algorithm not in (None, *offered):
        raise InvalidRequest(f"signing_algorithm: this deployment has {', '.join(offered)}")


def require_usable(authentication: Authentication | None) -> None:
    """Raise InvalidRequest for a key, certificate or name that is none, or a key that is more."""
    # Accepted, it would lock its client out.
    if authentication is None:
        return
    by_certificate = authentication.method == SELF_SIGNED_TLS_CLIENT_AUTH
    for key in authentication.jwks:
        # Members that are no part of it would be kept for ever, and read by every process.
        if len(json.dumps(key)) > MAX_KEY_BYTES:
            raise InvalidRequest(f"jwks: a key is at most {MAX_KEY_BYTES} bytes long")
        try:
            canonical_jwk(key)
        except UnusableKey as error:
            raise InvalidRequest(f"jwks: {error}") from None
        if by_certificate and not certifies(key):
            raise InvalidRequest("jwks: the first certificate of x5c is none, or of another key")
        if not by_certificate and not usable_keys([key], SIGNING_ALGORITHMS):
            raise InvalidRequest("jwks: a key that cannot verify a signature")
    if authentication.certificate is not None:
        try:
            require_comparable(authentication.certificate)
        except ValueError:
            raise InvalidRequest("certificate: no name of this kind") from None


def require_method(
    client_type: ClientType, authentication: Authentication, service: Offering
) -> None:
    """Raise InvalidRequest for a method that the deployment does not take."""
    # Accepted, the client could not authenticate by what the deployment takes.
    methods = {authentication.method} if authentication.method else {*BY_SECRET}
    wanted = {"none"} if client_type is ClientType.PUBLIC else methods
    if wanted.isdisjoint(service.auth_methods):
        allowed = ", ".join(sorted(service.auth_methods))
        raise InvalidRequest(f"authentication: this deployment takes {allowed}")


async def _owner_exists(owner: str | None, service: _Service) -> None:
    if owner and await service.log.load(Principal.stream(owner)) is None:
        raise InvalidRequest(f"no such principal: {owner}")


def new_secret(peppers: Peppers) -> tuple[NewSecret, str]:
    """Return a fresh secret of 256 bits and its verifier under the current pepper."""
    value = SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    secret = NewSecret(f"secret_{secrets.token_hex(6)}", value)
    return secret, peppers.verifier(PresentedSecret(value))
