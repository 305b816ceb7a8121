"""Tokens that a key of ours signed and that the log does not know so: a signing key has leaked.

A flood of forged tokens must not become a flood of events: an event counts those of one key that
differ from their records alike.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.provenance import Provenance
from domain.recorded import Recorded

NOT_RECORDED = "not recorded"
"""What differs where no record of such a token exists."""
ANOTHER_MEMBER = "another member"
"""Stands for members that no token of ours has: an attacker chooses their names."""
ENCODING = "encoding"
"""What differs where every member is the recorded one, and the signed bytes are not."""
MANY = "*"
"""Stands for what differs when a flood had too many combinations to be told apart."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A key, and how a token that it signed differs from its record.

    `differs` has the names of members, in order, or NOT_RECORDED.
    """

    kid: str
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Presentation:
    """Where a forged token was presented, by which authenticated client ("" where none), from which
    address. `jti` is what the token says, None where that is no UUID: it may be anything, a secret
    too, and is not kept.
    """

    endpoint: str
    client_id: str
    address: str
    jti: str | None


class ForgeryLog(Recorded):
    """The forged tokens that one process met on one day (UTC)."""

    TOPIC = "forgery_log"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        presented: int

    class Event(Recorded.Event):
        """Something about the forged tokens that one process met."""

    class ForgeryLogStarted(Event, Recorded.Created):
        """The first forged token that this process met on `day` (ISO 8601 date, UTC)."""

        TOPIC = "forgery_log.started"
        process: str
        day: str

        def apply(self, aggregate: "ForgeryLog") -> None:
            aggregate.presented = 0

    Created = ForgeryLogStarted  # the inherited name: every event has its topic

    class ForgedTokenPresented(Event):
        """A token that `kid` signed is not what this service recorded: the key has leaked.

        `differs` has the members that differ from the record, or "not recorded". `count` such
        tokens were refused from `first_at` to `last_at`. `endpoint`, `client_id` (the authenticated
        caller, or empty), `address`, `jti` and `request_id` are of the last; `jtis` has the first
        ten different ones. A `jti` that is no UUID is not kept.
        """

        TOPIC = "forged_token.presented"
        kid: str
        differs: tuple[str, ...]
        endpoint: str
        client_id: str
        address: str
        jti: str | None
        jtis: tuple[str, ...]
        count: int
        first_at: datetime
        last_at: datetime

        def apply(self, aggregate: "ForgeryLog") -> None:
            aggregate.presented += self.count

    @classmethod
    def start(
        cls, stream_id: UUID, *, process: str, day: str, provenance: Provenance
    ) -> "ForgeryLog":
        """Open the stream of this `process` for `day`."""
        return cls._begin(cls.ForgeryLogStarted, stream_id, provenance, process=process, day=day)

    def present(
        self,
        forgery: Forgery,
        last: Presentation,
        *,
        jtis: tuple[str, ...],
        count: int,
        first_at: datetime,
        last_at: datetime,
        provenance: Provenance,
    ) -> None:
        """Record that `count` forged tokens of one kind were presented, `last` the last of them."""
        self._record(
            self.ForgedTokenPresented,
            provenance,
            kid=forgery.kid,
            differs=forgery.differs,
            endpoint=last.endpoint,
            client_id=last.client_id,
            address=last.address,
            jti=last.jti,
            jtis=jtis,
            count=count,
            first_at=first_at,
            last_at=last_at,
        )
