"""The scope catalogue: which permissions exist, who may hold them, and in which order they read.

Rules of our own:
- *service* tier permissions are provisioned on the client at registration; the owner is irrelevant.
- *user* tier permissions are delegated: the client and the person behind the grant must hold them.
- *identity* tier permissions say that a person is there (OpenID Connect): provisioned on the
  client, and of use only in grants that a person stands behind.
- *management* tier permissions administer and audit. A machine has them as it has those of the
  service tier. What was granted for a person has them, and uses them, only while that person holds
  a role that carries them: else each client of people would make administrators of all of them.
- A role carries exactly the permission of its name, unless `Catalogue.roles` composes it.
- A level only orders the answer. It never implies another permission: `level >= level` alone
  would make `user` imply `service`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import ScopeUnknown

# RFC 6749, Section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
SCOPE_TOKEN = r"^[\x21\x23-\x5B\x5D-\x7E]+$"  # noqa: S105  # a grammar, not a secret


class Tier(StrEnum):
    """Where the authority of a permission comes from."""

    USER = "user"
    SERVICE = "service"
    IDENTITY = "identity"
    MANAGEMENT = "management"


HELD_BY_ROLE = frozenset({Tier.USER, Tier.MANAGEMENT})
"""The tiers that people hold through roles."""
CLIENTS_MANAGE, AUDIT_READ, REPORTS_READ = "clients:manage", "audit:read", "reports:read"
MANAGEMENT_SCOPES = (CLIENTS_MANAGE, AUDIT_READ, REPORTS_READ)
"""What /admin, /audit, /reports and /console ask for."""


class Permission(BaseModel):
    """One entry of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=SCOPE_TOKEN, max_length=128)
    level: int = Field(ge=0, le=1000, description="Order in the answer, highest first")
    tier: Tier
    required_audience: str | None = Field(
        default=None, description="Audience a token must carry to hold this permission"
    )
    description: str = Field(
        default="", max_length=200, description="What people read when they are asked to consent"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_management(cls, given: Any) -> Any:
        # Catalogues of before this tier have them as service: read so, they would still let every
        # person administer who logs in through a client of people.
        if isinstance(given, Mapping) and given.get("name") in MANAGEMENT_SCOPES:
            tier = given.get("tier", Tier.MANAGEMENT)
            return {**given, "tier": Tier.MANAGEMENT if tier == Tier.SERVICE else tier}
        return given

    @model_validator(mode="after")
    def _in_its_tier(self) -> "Permission":
        if self.name in MANAGEMENT_SCOPES and self.tier is not Tier.MANAGEMENT:
            raise ValueError(f"{self.name} is of the tier {Tier.MANAGEMENT}")
        return self


OPENID, PROFILE, OFFLINE_ACCESS = "openid", "profile", "offline_access"
EVERYTHING_HELD = "user"
"""Asked for by a client, it stands for every user-tier permission that the person holds."""

DEFAULT_PERMISSIONS = (
    Permission(
        name="admin", level=100, tier=Tier.USER, description="Administer what you administer"
    ),
    Permission(name="user", level=50, tier=Tier.USER, description="Act with your permissions"),
    Permission(
        name="service", level=40, tier=Tier.SERVICE, description="Call services in its own name"
    ),
    Permission(name="a2a", level=30, tier=Tier.SERVICE, description="Call other agents"),
    Permission(name="mcp", level=20, tier=Tier.SERVICE, description="Use tools of MCP servers"),
    Permission(name="hook:govern", level=15, tier=Tier.SERVICE, required_audience="hook"),
    Permission(name="hook:track", level=15, tier=Tier.SERVICE, required_audience="hook"),
    Permission(
        name="anonymous", level=10, tier=Tier.USER, description="Act without saying who you are"
    ),
    Permission(
        name="clients:manage", level=5, tier=Tier.MANAGEMENT, description="Administer this service"
    ),
    Permission(
        name="audit:read", level=5, tier=Tier.MANAGEMENT, description="Read the audit trail"
    ),
    Permission(name="reports:read", level=5, tier=Tier.MANAGEMENT, description="Read reports"),
    Permission(name=OPENID, level=3, tier=Tier.IDENTITY, description="Know that it is you"),
    Permission(name=PROFILE, level=3, tier=Tier.IDENTITY, description="Know your login name"),
    Permission(
        name=OFFLINE_ACCESS,
        level=2,
        tier=Tier.IDENTITY,
        description="Keep its access while you are away",
    ),
)
DEFAULT_ROLES: Mapping[str, tuple[str, ...]] = {"auditor": ("audit:read", "reports:read")}
"""The roles that are composed. Each permission that people hold has a role of its name besides."""


def _default_roles(permissions: Iterable[Permission]) -> Mapping[str, tuple[str, ...]]:
    """Return DEFAULT_ROLES without what these permissions lack."""
    names = {permission.name for permission in permissions}
    present = {role: tuple(n for n in held if n in names) for role, held in DEFAULT_ROLES.items()}
    return {role: held for role, held in present.items() if held}


class Catalogue(BaseModel):
    """All permissions of a deployment, and the roles by which people hold some of them.

    `roles` composes: it names roles and the permissions of the user and management tier that each
    carries. Any other role carries the permission of its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    permissions: tuple[Permission, ...] = DEFAULT_PERMISSIONS
    roles: Mapping[str, tuple[str, ...]] = Field(
        default_factory=lambda given: _default_roles(given.get("permissions", ()))
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Catalogue":
        names = [permission.name for permission in self.permissions]
        if len(set(names)) != len(names):
            raise ValueError("a permission is listed twice")
        for role, held in self.roles.items():
            for name in held:
                if name not in names or self[name].tier not in HELD_BY_ROLE:
                    raise ValueError(
                        f"role {role}: {name} is not a user-tier permission, nor a management one"
                    )
        return self

    @cached_property
    def by_name(self) -> Mapping[str, Permission]:
        """The permissions by their names."""
        return {permission.name: permission for permission in self.permissions}

    @cached_property
    def carried(self) -> Mapping[str, tuple[str, ...]]:
        """What each role carries: its permission, or what `roles` composes it of."""
        own = {p.name: (p.name,) for p in self.permissions if p.tier in HELD_BY_ROLE}
        return {**own, **self.roles}

    @cached_property
    def management(self) -> frozenset[str]:
        """The permissions of the management tier."""
        return frozenset(p.name for p in self.permissions if p.tier is Tier.MANAGEMENT)

    @cached_property
    def bound_to_audience(self) -> Mapping[str, str]:
        """The audience that a token must carry, by the permissions that need one."""
        return {p.name: p.required_audience for p in self.permissions if p.required_audience}

    @cached_property
    def _rank(self) -> Mapping[str, tuple[int, int]]:
        return {p.name: (-p.level, index) for index, p in enumerate(self.permissions)}

    @cached_property
    def digest(self) -> str:
        """A short fingerprint that events carry, so that a policy change shows in the record."""
        # Words for people decide nothing: a better description is no other policy.
        decisive = {"permissions": {"__all__": {"description"}}}
        return sha256(self.model_dump_json(exclude=decisive).encode()).hexdigest()[:16]

    def __getitem__(self, name: str) -> Permission:
        return self.by_name[name]

    def order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return `names` without repetition by descending level; ties in catalogue order.

        Raises ScopeUnknown, which names what is not in the catalogue.
        """
        return self._remembered_order(tuple(names))

    @cached_property
    def _remembered_order(self) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
        # Clients ask for the same few sets for ever; refusals are not remembered.
        return lru_cache(maxsize=1024)(self._order)

    def _order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        distinct = set(names)
        unknown = distinct - self._rank.keys()
        if unknown:
            raise ScopeUnknown(f"unknown scope: {' '.join(sorted(unknown))}")
        return tuple(sorted(distinct, key=self._rank.__getitem__))

    def held_through(self, roles: tuple[str, ...]) -> frozenset[str]:
        """Return the permissions that a person with these roles holds."""
        return self._remembered_holdings(roles)

    @cached_property
    def _remembered_holdings(self) -> Callable[[tuple[str, ...]], frozenset[str]]:
        return lru_cache(maxsize=1024)(self._held_through)

    def _held_through(self, roles: tuple[str, ...]) -> frozenset[str]:
        return frozenset(name for role in roles for name in self.carried.get(role, ()))
