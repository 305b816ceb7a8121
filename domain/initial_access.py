"""Initial access tokens (RFC 7591, Section 3): an operator lets somebody register clients.

Each use is an event of the token's own stream, recorded in one unit with the client that was
registered: who let whom register is in the log, and of two uses at once that would be one too many
the second meets a conflict.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.errors import GrantNotUsable, InvalidConfiguration
from domain.ids import directory_id
from domain.provenance import Provenance
from domain.recorded import Administered

MAX_USES = 1_000_000


@dataclass(frozen=True, slots=True)
class KeptVerifier:
    """What is kept of a token: its HMAC-SHA-256 in hexadecimal under the pepper `pepper_id`."""

    pepper_id: str
    verifier: str

    def __repr__(self) -> str:
        return "KeptVerifier(...)"


class InitialAccess(Administered):
    """Leave to register clients, held by whoever knows the token."""

    TOPIC = "initial_access"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        access_id: str
        kept: KeptVerifier
        expires_at: datetime
        max_uses: int
        clients: tuple[str, ...]
        revoked: bool

    class Event(Administered.Event):
        """Something about the leave `access_id`."""

        access_id: str

    class Issued(Event, Administered.Created):
        """Who holds the token may register `max_uses` clients until `expires_at` (UTC)."""

        TOPIC = "initial_access.issued"
        pepper_id: str
        verifier: str
        expires_at: datetime
        max_uses: int

        def apply(self, aggregate: "InitialAccess") -> None:
            aggregate.access_id = self.access_id
            aggregate.kept = KeptVerifier(self.pepper_id, self.verifier)
            aggregate.expires_at = self.expires_at
            aggregate.max_uses = self.max_uses
            aggregate.clients = ()
            aggregate.revoked = False

    Created = Issued  # the inherited name: every event has its topic

    class Used(Event):
        """The client was registered with the token."""

        TOPIC = "initial_access.used"
        client_id: str

        def apply(self, aggregate: "InitialAccess") -> None:
            aggregate.clients = (*aggregate.clients, self.client_id)

    class Revoked(Event):
        """The token registers no further client; those that are registered stay."""

        TOPIC = "initial_access.revoked"

        def apply(self, aggregate: "InitialAccess") -> None:
            aggregate.revoked = True

    @staticmethod
    def stream(access_id: str) -> UUID:
        """Return the stream id of the leave `access_id`."""
        return directory_id("initial_access", access_id)

    @classmethod
    def issue(
        cls,
        access_id: str,
        kept: KeptVerifier,
        *,
        expires_at: datetime,
        max_uses: int,
        provenance: Provenance,
    ) -> "InitialAccess":
        """Let somebody register clients. Raises InvalidConfiguration for what is never usable."""
        if expires_at <= provenance.occurred_at or not 1 <= max_uses <= MAX_USES:
            raise InvalidConfiguration("it must end later than now, and be of use at least once")
        facts: dict[str, Any] = {
            "access_id": access_id,
            "pepper_id": kept.pepper_id,
            "verifier": kept.verifier,
            "expires_at": expires_at,
            "max_uses": max_uses,
        }
        return cls._begin(cls.Issued, cls.stream(access_id), provenance, **facts)

    def use(self, client_id: str, provenance: Provenance) -> None:
        """Let the client be registered. Raises GrantNotUsable, the cause in its text."""
        self.require_usable(provenance.occurred_at)
        self._record(self.Used, provenance, access_id=self.access_id, client_id=client_id)

    def require_usable(self, now: datetime) -> None:
        """Raise GrantNotUsable unless one more client may be registered at `now`."""
        if self.revoked:
            raise GrantNotUsable("initial access token revoked")
        if now >= self.expires_at:
            raise GrantNotUsable("initial access token expired")
        if len(self.clients) >= self.max_uses:
            raise GrantNotUsable("initial access token used up")

    def revoke(self, provenance: Provenance) -> None:
        """Let it register nobody any more; a second time changes nothing."""
        if not self.revoked:
            self._record(self.Revoked, provenance, access_id=self.access_id)
