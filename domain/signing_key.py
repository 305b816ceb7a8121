"""A signing key's life: generated (published, not used), activated (signs), retired (verifies on),
or revoked (vouches for nothing).

| from      | activate | retire  | revoke  |
|-----------|----------|---------|---------|
| generated | active   | retired | revoked |
| active    | -        | retired | revoked |
| retired   | -        | -       | revoked |
| revoked   | -        | -       | -       |

A key is published from its generation, so that consumers that cache the key set know it before
its first signature. A retired key stays published until `verify_until`. A revoked key is published
no more, and every token that it signed is void: somebody else may have signed with it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from domain.errors import KeyStateError
from domain.ids import directory_id
from domain.provenance import Provenance
from domain.recorded import Administered, moment


class KeyState(StrEnum):
    """Where a key stands."""

    GENERATED = "generated"
    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


_NEXT: Mapping[KeyState, frozenset[KeyState]] = {
    KeyState.GENERATED: frozenset({KeyState.ACTIVE, KeyState.RETIRED, KeyState.REVOKED}),
    KeyState.ACTIVE: frozenset({KeyState.RETIRED, KeyState.REVOKED}),
    KeyState.RETIRED: frozenset({KeyState.REVOKED}),
    KeyState.REVOKED: frozenset(),
}


class SigningKey(Administered):
    """The public half and the state of a key; the wrapped private half lives outside the log."""

    TOPIC = "key"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        kid: str
        algorithm: str
        public_jwk: dict[str, str]
        state: KeyState
        verify_until: datetime | None

    class Event(Administered.Event):
        """Something decided about a key. `kid` is its RFC 7638 thumbprint."""

        kid: str

    class Generated(Event, Administered.Created):
        """The key exists and is published; it does not sign yet."""

        TOPIC = "key.generated"
        algorithm: str
        public_jwk: dict[str, str]

        def apply(self, aggregate: "SigningKey") -> None:
            aggregate.kid = self.kid
            aggregate.algorithm = self.algorithm
            aggregate.public_jwk = self.public_jwk
            aggregate.state = KeyState.GENERATED
            aggregate.verify_until = None

    Created = Generated  # the inherited name: every event has its topic

    class Activated(Event):
        """The key signs new tokens from now on."""

        TOPIC = "key.activated"
        algorithm: str

        def apply(self, aggregate: "SigningKey") -> None:
            aggregate.state = KeyState.ACTIVE

    class Retired(Event):
        """The key signs no more; what it signed verifies until `verify_until` (UTC)."""

        TOPIC = "key.retired"
        algorithm: str
        verify_until: datetime

        def apply(self, aggregate: "SigningKey") -> None:
            aggregate.state = KeyState.RETIRED
            aggregate.verify_until = self.verify_until

    class Revoked(Event):
        """The key leaked, or may have: it verifies nothing, and the tokens it signed are void."""

        TOPIC = "key.revoked"
        algorithm: str

        def apply(self, aggregate: "SigningKey") -> None:
            aggregate.state = KeyState.REVOKED

    class Rewrapped(Event):
        """The private half lies under the master key `master_key_id` from now on."""

        TOPIC = "key.rewrapped"
        algorithm: str
        master_key_id: str

        def apply(self, aggregate: "SigningKey") -> None:
            """Change nothing: where the private half lies is not part of the key's state."""

    @staticmethod
    def stream(kid: str) -> UUID:
        """Return the stream id of the key `kid`."""
        return directory_id("key", kid)

    @classmethod
    def generate(
        cls, *, kid: str, algorithm: str, public_jwk: dict[str, str], provenance: Provenance
    ) -> "SigningKey":
        """Record and publish a new key. `public_jwk` holds public members only (RFC 7517)."""
        return cls._begin(
            cls.Generated,
            cls.stream(kid),
            provenance,
            kid=kid,
            algorithm=algorithm,
            public_jwk=public_jwk,
        )

    def activate(self, provenance: Provenance) -> None:
        """Let the key sign. Raises KeyStateError unless it was only generated so far."""
        self._require(KeyState.ACTIVE)
        self._record(self.Activated, provenance, kid=self.kid, algorithm=self.algorithm)

    def retire(self, *, verify_until: datetime, provenance: Provenance) -> None:
        """Stop signing; keep verifying until `verify_until`. Raises KeyStateError when retired."""
        self._require(KeyState.RETIRED)
        self._record(
            self.Retired,
            provenance,
            kid=self.kid,
            algorithm=self.algorithm,
            verify_until=verify_until,
        )

    def revoke(self, provenance: Provenance) -> None:
        """Let the key vouch for nothing any more. Raises KeyStateError when revoked."""
        self._require(KeyState.REVOKED)
        self._record(self.Revoked, provenance, kid=self.kid, algorithm=self.algorithm)

    def rewrap(self, *, master_key_id: str, provenance: Provenance) -> None:
        """Record that the private half is encrypted anew, under the key `master_key_id`."""
        self._record(
            self.Rewrapped,
            provenance,
            kid=self.kid,
            algorithm=self.algorithm,
            master_key_id=master_key_id,
        )

    def published(self, now: datetime) -> bool:
        """Tell whether the key belongs in the key set at `now` (aware, UTC)."""
        if self.state is KeyState.REVOKED:
            return False
        return self.verify_until is None or now < self.verify_until

    def _require(self, target: KeyState) -> None:
        if target not in _NEXT[self.state]:
            since = moment(self.modified_on)
            raise KeyStateError(f"key {self.kid} is {self.state} since {since}, not {target}")
