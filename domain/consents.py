"""What a person lets which client do: remembered, so that nobody is asked twice for the same.

One stream a person. A client that asks for more than was consented to is asked about again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain.ids import directory_id
from domain.provenance import Provenance
from domain.recorded import Recorded


@dataclass(frozen=True, slots=True)
class Consent:
    """The scopes that a client may have, and when that was said last (UTC)."""

    client_id: str
    scope: tuple[str, ...]
    given_at: datetime


class Consents(Recorded):
    """All consents of one person."""

    TOPIC = "consents"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        subject: str
        by_client: dict[str, Consent]

    class Event(Recorded.Event):
        """Something that the person decided."""

        subject: str

    class Opened(Event, Recorded.Created):
        """The person decided about a client for the first time."""

        TOPIC = "consents.opened"

        def apply(self, aggregate: "Consents") -> None:
            aggregate.subject = self.subject
            aggregate.by_client = {}

    Created = Opened  # the inherited name: every event has its topic

    class Given(Event):
        """The client may have `scope`, what was consented to before included."""

        TOPIC = "consent.given"
        client_id: str
        session_id: str
        scope: tuple[str, ...]

        def apply(self, aggregate: "Consents") -> None:
            given = Consent(self.client_id, self.scope, self.timestamp)
            aggregate.by_client = {**aggregate.by_client, self.client_id: given}

    class Withdrawn(Event):
        """The client may have nothing any more."""

        TOPIC = "consent.withdrawn"
        client_id: str
        scope: tuple[str, ...]

        def apply(self, aggregate: "Consents") -> None:
            aggregate.by_client = {
                client_id: consent
                for client_id, consent in aggregate.by_client.items()
                if client_id != self.client_id
            }

    @staticmethod
    def stream(subject: str) -> UUID:
        """Return the stream id of the consents of `subject`."""
        return directory_id("consents", subject)

    @classmethod
    def open(cls, subject: str, *, provenance: Provenance) -> "Consents":
        """Begin the stream of a person."""
        return cls._begin(cls.Opened, cls.stream(subject), provenance, subject=subject)

    def covers(self, client_id: str, scope: Collection[str]) -> bool:
        """Tell whether the person consented to all of `scope` for this client."""
        given = self.by_client.get(client_id)
        return given is not None and set(scope) <= set(given.scope)

    def give(
        self, client_id: str, scope: tuple[str, ...], *, session_id: str, provenance: Provenance
    ) -> None:
        """Let the client have `scope` besides what it may have; nothing changes where it may."""
        if not self.covers(client_id, scope):
            before = self.by_client.get(client_id)
            known = before.scope if before else ()
            self._record(
                self.Given,
                provenance,
                subject=self.subject,
                client_id=client_id,
                session_id=session_id,
                scope=(*known, *(name for name in scope if name not in known)),
            )

    def withdraw(self, client_id: str, *, provenance: Provenance) -> None:
        """Let the client have nothing any more; nothing changes where it had nothing."""
        before = self.by_client.get(client_id)
        if before is not None:
            self._record(
                self.Withdrawn,
                provenance,
                subject=self.subject,
                client_id=client_id,
                scope=before.scope,
            )
