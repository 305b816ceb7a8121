"""The refusals of one process in one hour, coalesced per cause when they flood.

A flood of refused requests must not become a flood of events; the counts still add up.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.provenance import Provenance
from domain.recorded import Recorded, escaped

MANY = "*"
"""Stands for a client, a reason or an address when a flood had too many to be told apart."""


@dataclass(frozen=True, slots=True)
class Denial:
    """What was refused and why, the true reason included.

    `client_id` is empty when nothing was presented, and `?` for one that is not registered: what
    was typed there may be anything, a secret too, and is not kept. `error` is the OAuth code the
    caller saw; `reason` is the cause, which only the record knows.
    """

    client_id: str
    endpoint: str
    grant_type: str
    error: str
    reason: str
    address: str

    def anonymised(self) -> "Denial":
        """Return the same cause without who and where, for a flood of too many of them."""
        return Denial(MANY, self.endpoint, self.grant_type, self.error, self.reason, MANY)

    def unexplained(self) -> "Denial":
        """Return no more of it than the caller was told, for a flood of too many reasons.

        Whoever asks has a part in some of them: which scopes lack, whose host did not answer.
        """
        return Denial(MANY, self.endpoint, self.grant_type, self.error, MANY, MANY)


class DenialLog(Recorded):
    """The refusals one process gave within one hour (UTC)."""

    TOPIC = "denial_log"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        denials: int

    class Event(Recorded.Event):
        """Something about the refusals of one process."""

    class Started(Event, Recorded.Created):
        """The first refusal by this process in `hour` (ISO 8601, UTC)."""

        TOPIC = "denial_log.started"
        process: str
        hour: str

        def apply(self, aggregate: "DenialLog") -> None:
            aggregate.denials = 0

    Created = Started  # the inherited name: every event has its topic

    class GrantDenied(Event):
        """`count` refusals of one cause, from `first_at` to `last_at`; `request_id` is the last."""

        TOPIC = "grant.denied"
        client_id: str
        endpoint: str
        grant_type: str
        error: str
        reason: str
        address: str
        count: int
        first_at: datetime
        last_at: datetime

        def apply(self, aggregate: "DenialLog") -> None:
            aggregate.denials += self.count

    @classmethod
    def start(
        cls, stream_id: UUID, *, process: str, hour: str, provenance: Provenance
    ) -> "DenialLog":
        """Open the stream of this `process` for `hour`."""
        return cls._begin(cls.Started, stream_id, provenance, process=process, hour=hour)

    def deny(
        self,
        denial: Denial,
        *,
        count: int,
        first_at: datetime,
        last_at: datetime,
        provenance: Provenance,
    ) -> None:
        """Record `count` refusals of the same cause; what a stranger sent is recorded escaped."""
        self._record(
            self.GrantDenied,
            provenance,
            client_id=escaped(denial.client_id),
            endpoint=escaped(denial.endpoint),
            grant_type=escaped(denial.grant_type),
            error=escaped(denial.error),
            reason=escaped(denial.reason),
            address=escaped(denial.address),
            count=count,
            first_at=first_at,
            last_at=last_at,
        )
