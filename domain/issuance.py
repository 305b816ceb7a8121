"""What a token is made of once decided: the narrowing of scopes and the choice of audience.

The rules read only their arguments, so that a report can run today's policy over yesterday's
requests.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from domain.authorization_details import Details
from domain.confirmation import Confirmation
from domain.errors import AudienceMissing, AudienceNotAllowed, ScopeNotGranted
from domain.permissions import EVERYTHING_HELD, HELD_BY_ROLE, Catalogue, Tier
from domain.provenance import Origin


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """What a token request asks for, and what it will be made with.

    `scope` is None where the request named none. `audience` is what `audience` and `resource`
    named together. `token_id` becomes the `jti`; `session_id` reads `sess_<hex>`. The requester
    proved to hold the key of `confirmation`. `authorization_details` (RFC 9396) is None where the
    request named none.
    """

    token_id: UUID
    session_id: str
    scope: tuple[str, ...] | None
    audience: tuple[str, ...]
    authentication_method: str
    credential_id: str
    origin: Origin
    confirmation: Confirmation | None = None
    authorization_details: Details | None = None


@dataclass(frozen=True, slots=True)
class SigningChoice:
    """The key a token will be signed with."""

    kid: str
    algorithm: str


class Narrowing(NamedTuple):
    """Which requested scopes are left, in catalogue order, and what each side lacked."""

    granted: tuple[str, ...]
    withheld_by_client: tuple[str, ...]
    withheld_by_owner: tuple[str, ...]

    def within(self, bound: Collection[str]) -> "Narrowing":
        """Return the same without what is outside of `bound`."""
        granted = tuple(name for name in self.granted if name in bound)
        return Narrowing(granted, self.withheld_by_client, self.withheld_by_owner)


_OF_MACHINES = frozenset({Tier.SERVICE, Tier.MANAGEMENT})


def narrow(
    *,
    requested: Sequence[str],
    client_scopes: Collection[str],
    owner_permissions: Collection[str],
    catalogue: Catalogue,
) -> Narrowing:
    """Return what is left of `requested` where a machine asks for itself.

    Service and management tier: the client's provisioning suffices. User tier: the owner must hold
    it as well, and without an owner nobody holds it. Identity tier: nobody holds it where nobody
    logged in. Raises ScopeUnknown for a name outside the catalogue and ScopeNotGranted, which names
    the deficit, when nothing is left.
    """
    granted: list[str] = []
    lacking_client: list[str] = []
    lacking_owner: list[str] = []
    known = catalogue.by_name
    for name in catalogue.order(requested):
        if name not in client_scopes:
            lacking_client.append(name)
        elif known[name].tier in _OF_MACHINES or name in owner_permissions:
            granted.append(name)
        else:
            lacking_owner.append(name)
    if not granted:
        raise ScopeNotGranted(_deficit(lacking_client, lacking_owner, whose="owner"))
    return Narrowing(tuple(granted), tuple(lacking_client), tuple(lacking_owner))


def narrow_for_person(
    *,
    requested: Sequence[str],
    client_scopes: Collection[str],
    permissions: Collection[str],
    catalogue: Catalogue,
) -> Narrowing:
    """Return what is left of `requested` where a person with `permissions` stands behind it.

    `user` expands to every user-tier permission that both the person and the client hold: what the
    client was never provisioned with stays out of its reach whoever logs in. User and management
    tier: the person must hold it. Service and identity tier: the client's provisioning suffices.
    Raises as `narrow` does.
    """
    wanted = catalogue.order(requested)
    if EVERYTHING_HELD in wanted and EVERYTHING_HELD in client_scopes:
        held = (name for name in permissions if catalogue[name].tier is Tier.USER)
        wanted = catalogue.order((*wanted, *(name for name in held if name in client_scopes)))
    granted: list[str] = []
    lacking_client: list[str] = []
    lacking_person: list[str] = []
    for name in wanted:
        if name not in client_scopes:
            lacking_client.append(name)
        elif catalogue[name].tier in HELD_BY_ROLE and name not in permissions:
            lacking_person.append(name)
        else:
            granted.append(name)
    if not granted:
        raise ScopeNotGranted(_deficit(lacking_client, lacking_person, whose="person"))
    return Narrowing(tuple(granted), tuple(lacking_client), tuple(lacking_person))


def _deficit(lacking_client: Sequence[str], lacking_owner: Sequence[str], *, whose: str) -> str:
    parts = []
    if lacking_client:
        parts.append(f"not in the client's grant: {' '.join(lacking_client)}")
    if lacking_owner:
        parts.append(f"not held by the {whose}: {' '.join(lacking_owner)}")
    return "; ".join(parts) or "no scope requested"


def choose_audience(
    *, requested: Sequence[str], allowed: Collection[str], default: Sequence[str]
) -> tuple[str, ...]:
    """Return the `aud` of the token (RFC 8707, Section 2.2; RFC 9068, Section 3).

    Raises AudienceNotAllowed, without telling what would be allowed.
    """
    if not requested:
        return tuple(default)
    distinct = tuple(dict.fromkeys(requested))
    outside = [name for name in distinct if name not in allowed]
    if outside:
        raise AudienceNotAllowed(f"not an allowed target: {' '.join(outside)}")
    return distinct


def require_audiences(
    *, granted: Sequence[str], audience: Collection[str], catalogue: Catalogue
) -> None:
    """Raise AudienceMissing for a permission that needs an audience the token lacks."""
    for name, needed in catalogue.bound_to_audience.items():
        if name in granted and needed not in audience:
            raise AudienceMissing(f"{name} requires the audience {needed}")


@dataclass(frozen=True, slots=True)
class DeploymentPolicy:
    """The part of the settings that decides about tokens.

    `lifetime` is in seconds. `subject_is_owner` False makes `sub` the client_id always (RFC 9068,
    Section 2.2). `default_audience` is used by clients that have no default of their own. `issuer`
    joins it where `openid` was granted; `management_audience` is what /admin and /audit ask for.
    Lifetimes of families and the grace window of a
    rotation are in seconds. `end_descendants` lets the end of a session or family void what was
    exchanged from its tokens; `id_jag` turns on identity assertions for other servers.
    `sender_constrained` issues no token that is not bound to a key. Without `rotate_confidential`
    a refresh token of a confidential client stays the same; a public client's always changes.
    `within_assertion` ends a token of jwt-bearer with the assertion that vouches for it.
    """

    catalogue: Catalogue
    lifetime: int
    default_audience: tuple[str, ...]
    subject_is_owner: bool
    issuer: str = ""
    management_audience: str = ""
    family_lifetime: int = 30 * 86_400
    family_idle_lifetime: int = 7 * 86_400
    rotation_grace: int = 10
    end_descendants: bool = True
    id_jag: bool = False
    sender_constrained: bool = False
    rotate_confidential: bool = True
    within_assertion: bool = True
