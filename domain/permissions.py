"""The scope catalogue: which permissions exist, who may hold them, and in which order they read.

Rules of our own:
- *service* tier permissions are provisioned on the client at registration; the owner is irrelevant.
- *user* tier permissions are delegated: the client and the person behind the grant must hold them.
- *identity* tier permissions say that a person is there (OpenID Connect): provisioned on the
  client, and of use only in grants that a person stands behind.
- A level only orders the answer. It never implies another permission: `level >= level` alone
  would make `user` imply `service`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from hashlib import sha256

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import ScopeUnknown

# RFC 6749, Section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
SCOPE_TOKEN = r"^[\x21\x23-\x5B\x5D-\x7E]+$"  # noqa: S105  # a grammar, not a secret


class Tier(StrEnum):
    """Where the authority of a permission comes from."""

    USER = "user"
    SERVICE = "service"
    IDENTITY = "identity"


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
        name="clients:manage", level=5, tier=Tier.SERVICE, description="Administer this service"
    ),
    Permission(name="audit:read", level=5, tier=Tier.SERVICE, description="Read the audit trail"),
    Permission(name="reports:read", level=5, tier=Tier.SERVICE, description="Read reports"),
    Permission(name=OPENID, level=3, tier=Tier.IDENTITY, description="Know that it is you"),
    Permission(name=PROFILE, level=3, tier=Tier.IDENTITY, description="Know your login name"),
    Permission(
        name=OFFLINE_ACCESS,
        level=2,
        tier=Tier.IDENTITY,
        description="Keep its access while you are away",
    ),
)
DEFAULT_ROLES: Mapping[str, tuple[str, ...]] = {
    "admin": ("admin", "user", "anonymous"),
    "user": ("user", "anonymous"),
    "anonymous": ("anonymous",),
    # Lets people into the console (settings: console_roles), and gives no client anything.
    "auditor": (),
}


class Catalogue(BaseModel):
    """All permissions of a deployment, and the roles by which people hold the user-tier ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    permissions: tuple[Permission, ...] = DEFAULT_PERMISSIONS
    roles: Mapping[str, tuple[str, ...]] = Field(default=DEFAULT_ROLES)

    @model_validator(mode="after")
    def _consistent(self) -> "Catalogue":
        names = [permission.name for permission in self.permissions]
        if len(set(names)) != len(names):
            raise ValueError("a permission is listed twice")
        for role, held in self.roles.items():
            for name in held:
                if name not in names or self[name].tier is not Tier.USER:
                    raise ValueError(f"role {role}: {name} is not a user-tier permission")
        return self

    @cached_property
    def by_name(self) -> Mapping[str, Permission]:
        """The permissions by their names."""
        return {permission.name: permission for permission in self.permissions}

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
        """Return the user-tier permissions that somebody with these roles holds."""
        return self._remembered_holdings(roles)

    @cached_property
    def _remembered_holdings(self) -> Callable[[tuple[str, ...]], frozenset[str]]:
        return lru_cache(maxsize=1024)(self._held_through)

    def _held_through(self, roles: tuple[str, ...]) -> frozenset[str]:
        return frozenset(name for role in roles for name in self.roles.get(role, ()))
