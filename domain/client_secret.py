"""A client secret as the record knows it: a verifier under a named pepper, never the secret."""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One secret of a client.

    `verifier` is the hexadecimal HMAC-SHA-256 of the secret under the pepper `pepper_id`.
    `usable_until` (UTC) bounds the overlap after a rotation; None while the secret is current.
    """

    secret_id: str
    pepper_id: str
    verifier: str
    added_at: datetime
    usable_until: datetime | None = None

    def usable(self, now: datetime) -> bool:
        """Tell whether the secret authenticates at `now` (aware, UTC)."""
        return self.usable_until is None or now < self.usable_until

    def retired(self, usable_until: datetime) -> "ClientSecret":
        """Return the secret with its end set, or brought forward; never put off."""
        if self.usable_until is not None and self.usable_until <= usable_until:
            return self
        return replace(self, usable_until=usable_until)

    def __repr__(self) -> str:
        return f"ClientSecret({self.secret_id})"
