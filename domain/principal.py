"""A principal: a resource owner, known by an opaque subject id and the roles assigned to it.

A deactivation ends for good what was begun on the principal's authority before: sessions, families
of refresh tokens, tokens. Each of them names the version of the principal that it was decided upon,
and the version of the deactivation is the bound: so a process that learns of it a moment late, or
whose clock is wrong, begins nothing that a reactivation would bring back.
"""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.errors import InvalidConfiguration
from domain.ids import directory_id
from domain.permissions import Catalogue
from domain.provenance import Provenance
from domain.recorded import Administered


class Principal(Administered):
    """A person or other owner on whose authority clients act. Holds no personal data."""

    TOPIC = "principal"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        subject: str
        roles: tuple[str, ...]
        active: bool
        deactivated_version: int
        """Of the last deactivation, 0 where there was none."""
        deactivated_at: datetime | None

    class Event(Administered.Event):
        """Something an administrator decided about a principal."""

        subject: str

    class Registered(Event, Administered.Created):
        """The principal became known."""

        TOPIC = "principal.registered"
        roles: tuple[str, ...]

        def apply(self, aggregate: "Principal") -> None:
            aggregate.subject = self.subject
            aggregate.roles = self.roles
            aggregate.active = True
            aggregate.deactivated_version = 0
            aggregate.deactivated_at = None

    Created = Registered  # the inherited name: every event has its topic

    class RolesAssigned(Event):
        """The principal's roles are now exactly these."""

        TOPIC = "principal.roles_assigned"
        roles: tuple[str, ...]

        def apply(self, aggregate: "Principal") -> None:
            aggregate.roles = self.roles

    class Deactivated(Event):
        """Nothing is issued on this principal's authority any more; what was begun on it ended."""

        TOPIC = "principal.deactivated"

        def apply(self, aggregate: "Principal") -> None:
            aggregate.active = False
            aggregate.deactivated_version = self.originator_version
            aggregate.deactivated_at = self.timestamp

    class Reactivated(Event):
        """The principal's authority counts again, for what is begun from now on."""

        TOPIC = "principal.reactivated"

        def apply(self, aggregate: "Principal") -> None:
            aggregate.active = True

    class PasswordSet(Event):
        """The principal logs in with another password from now on; its hash is outside the log."""

        TOPIC = "principal.password_set"

        def apply(self, aggregate: "Principal") -> None:
            """The state of the principal is the same."""

    class PasskeyAdded(Event):
        """A passkey logs the principal in from now on. `passkey` is a hash of its credential id."""

        TOPIC = "principal.passkey_added"
        passkey: str

        def apply(self, aggregate: "Principal") -> None:
            """The state of the principal is the same."""

    class PasskeyRemoved(Event):
        """A passkey does not log the principal in any more."""

        TOPIC = "principal.passkey_removed"
        passkey: str

        def apply(self, aggregate: "Principal") -> None:
            """The state of the principal is the same."""

    class IdentityLinked(Event):
        """An identity at the upstream provider `issuer` logs the principal in from now on."""

        TOPIC = "principal.identity_linked"
        issuer: str

        def apply(self, aggregate: "Principal") -> None:
            """The state of the principal is the same."""

    @staticmethod
    def stream(subject: str) -> UUID:
        """Return the stream id of the principal `subject`."""
        return directory_id("principal", subject)

    @classmethod
    def register(
        cls, subject: str, roles: tuple[str, ...], *, catalogue: Catalogue, provenance: Provenance
    ) -> "Principal":
        """Make a principal known. Raises InvalidConfiguration for a role outside the catalogue."""
        _known_roles(roles, catalogue)
        return cls._begin(
            cls.Registered, cls.stream(subject), provenance, subject=subject, roles=roles
        )

    def assign_roles(
        self, roles: tuple[str, ...], *, catalogue: Catalogue, provenance: Provenance
    ) -> None:
        """Replace the roles. Raises InvalidConfiguration for a role outside the catalogue."""
        _known_roles(roles, catalogue)
        if roles != self.roles:
            self._record(self.RolesAssigned, provenance, subject=self.subject, roles=roles)

    def deactivate(self, provenance: Provenance) -> None:
        """Withdraw the principal's authority; a second time changes nothing."""
        if self.active:
            self._record(self.Deactivated, provenance, subject=self.subject)

    def reactivate(self, provenance: Provenance) -> None:
        """Give the authority back; nothing changes where it was not withdrawn."""
        if not self.active:
            self._record(self.Reactivated, provenance, subject=self.subject)

    def password_set(self, provenance: Provenance) -> None:
        """Record that the principal has a new password."""
        self._record(self.PasswordSet, provenance, subject=self.subject)

    def passkey_added(self, passkey: str, provenance: Provenance) -> None:
        """Record a new passkey by the hash of its credential id."""
        self._record(self.PasskeyAdded, provenance, subject=self.subject, passkey=passkey)

    def passkey_removed(self, passkey: str, provenance: Provenance) -> None:
        """Record that a passkey was taken away."""
        self._record(self.PasskeyRemoved, provenance, subject=self.subject, passkey=passkey)

    def identity_linked(self, issuer: str, provenance: Provenance) -> None:
        """Record that an upstream identity logs the principal in."""
        self._record(self.IdentityLinked, provenance, subject=self.subject, issuer=issuer)

    def stands_behind(self, version: int | None, began_at: datetime) -> bool:
        """Tell whether what was begun upon `version` of the principal counts: it is active, and was
        not deactivated since. `began_at` decides for records that name no version.
        """
        return self.active and not self.ended_since(version, began_at)

    def ended_since(self, version: int | None, began_at: datetime) -> bool:
        """Tell whether a deactivation since ended for good what was begun as above."""
        if self.deactivated_at is None:
            return False
        return version < self.deactivated_version if version else began_at <= self.deactivated_at

    def permissions(self, catalogue: Catalogue) -> frozenset[str]:
        """Return the permissions that the roles carry at present: none when deactivated."""
        return catalogue.held_through(self.roles) if self.active else frozenset()


def _known_roles(roles: tuple[str, ...], catalogue: Catalogue) -> None:
    unknown = set(roles) - catalogue.carried.keys()
    if unknown:
        raise InvalidConfiguration(f"unknown role: {' '.join(sorted(unknown))}")
