"""The first run: an owner, a demo client and an administration client, recorded as one unit.

Their secrets are chosen before anything is recorded, so that a crash in between loses none: the
next start finds the file and records the same. A log that holds a client already is left alone.
"""

import secrets
from dataclasses import dataclass, field
from typing import Protocol

from application.administration.clients import SECRET_PREFIX
from application.ledger.errors import Conflict
from application.ports import EventLog
from application.secret_keys import Peppers, PresentedSecret
from domain.client import Client
from domain.client_configuration import ClientConfiguration
from domain.permissions import MANAGEMENT_SCOPES, Catalogue, Tier
from domain.principal import Principal
from domain.provenance import Provenance

OWNER = "owner"
DEMO_CLIENT = "demo"
ADMINISTRATION_CLIENT = "administration"
OWNER_ROLES = ("admin", "user")
ADMINISTRATION_SCOPES = MANAGEMENT_SCOPES


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """The secrets of the two first clients; kept by whoever runs the service."""

    demo: str = field(repr=False)
    administration: str = field(repr=False)

    @classmethod
    def fresh(cls) -> "FirstSecrets":
        """Return new secrets, 256 bits each."""
        return cls(*(SECRET_PREFIX + secrets.token_urlsafe(32) for _ in range(2)))


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def peppers(self) -> Peppers: ...

    @property
    def catalogue(self) -> Catalogue: ...


async def bootstrap(first: FirstSecrets, *, service: _Service, provenance: Provenance) -> bool:
    """Record the owner and the two clients; False where somebody else was faster.

    Raises LedgerUnavailable, UnitRejected.
    """
    catalogue = service.catalogue
    owner = Principal.register(OWNER, _roles(catalogue), catalogue=catalogue, provenance=provenance)
    demo = _client(
        DEMO_CLIENT,
        first.demo,
        name="Demo client",
        scopes=_demo_scopes(catalogue),
        owner=OWNER,
        service=service,
        provenance=provenance,
    )
    administration = _client(
        ADMINISTRATION_CLIENT,
        first.administration,
        name="Administration",
        scopes=tuple(name for name in ADMINISTRATION_SCOPES if name in catalogue.by_name),
        owner=None,
        service=service,
        provenance=provenance,
    )
    try:
        await service.log.save(owner, demo, administration)
    except Conflict:
        return False
    return True


def _client(
    client_id: str,
    secret: str,
    *,
    name: str,
    scopes: tuple[str, ...],
    owner: str | None,
    service: _Service,
    provenance: Provenance,
) -> Client:
    configuration = ClientConfiguration(
        client_id=client_id,
        name=name,
        scopes=scopes,
        owner=owner,
    )
    client = Client.register(configuration, catalogue=service.catalogue, provenance=provenance)
    client.add_secret(
        secret_id=f"secret_{secrets.token_hex(6)}",
        pepper_id=service.peppers.current.key_id,
        verifier=service.peppers.verifier(PresentedSecret(secret)),
        provenance=provenance,
    )
    return client


def _roles(catalogue: Catalogue) -> tuple[str, ...]:
    """Return `admin` and `user`, or the first role there is that administers nothing here."""
    named = tuple(name for name in OWNER_ROLES if name in catalogue.carried)
    others = (
        name
        for name in (*catalogue.roles, *catalogue.carried)
        if catalogue.management.isdisjoint(catalogue.carried[name])
    )
    return named or tuple(others)[:1]


def _demo_scopes(catalogue: Catalogue) -> tuple[str, ...]:
    """Everything but administration, and what needs an audience of its own."""
    return tuple(
        permission.name
        for permission in catalogue.permissions
        if permission.name not in ADMINISTRATION_SCOPES
        and permission.required_audience is None
        and (permission.tier is Tier.SERVICE or permission.name == "user")
    )
