"""What a person lets which client do: remembered, so that nobody is asked twice for the same.

One stream a person. The same is: the same client, where the tokens are good and where the browser
is sent, and no more scopes. A client that asks for anything else is asked about again: else what a
person said about one of its places would open another, one that somebody else has come to hold.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.ids import directory_id
from domain.provenance import Provenance
from domain.recorded import Recorded


@dataclass(frozen=True, slots=True)
class Consent:
    """The scopes that a client may have, and when that was said last (UTC).

    `resource` is where the tokens are good, `redirect_target` where the browser was to be sent
    (domain.redirect_uri.target_of), None for a device.
    """

    client_id: str
    scope: tuple[str, ...]
    given_at: datetime
    resource: tuple[str, ...] = ()
    redirect_target: str | None = None

    def is_for(self, resource: Collection[str], redirect_target: str | None) -> bool:
        """Tell whether it was given for these resources, all of them, and this target."""
        return set(resource) == set(self.resource) and redirect_target == self.redirect_target


class Consents(Recorded):
    """All consents of one person."""

    TOPIC = "consents"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        subject: str
        by_client: dict[str, tuple[Consent, ...]]
        withdrawn_at: dict[str, datetime]

    class Event(Recorded.Event):
        """Something that the person decided."""

        subject: str

    class Opened(Event, Recorded.Created):
        """The person decided about a client for the first time."""

        TOPIC = "consents.opened"

        def apply(self, aggregate: "Consents") -> None:
            aggregate.subject = self.subject
            aggregate.by_client = {}
            aggregate.withdrawn_at = {}

    Created = Opened  # the inherited name: every event has its topic

    class Given(Event):
        """The client may have `scope` at `resource`, by way of `redirect_target` (None for a
        device): what was consented to before for the same included.
        """

        TOPIC = "consent.given"
        class_version = 2
        client_id: str
        session_id: str
        scope: tuple[str, ...]
        resource: tuple[str, ...]
        redirect_target: str | None

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 did not say for what: it is shown and withdrawn, and covers nothing."""
            state.update(resource=(), redirect_target=None)

        def apply(self, aggregate: "Consents") -> None:
            given = Consent(
                self.client_id, self.scope, self.timestamp, self.resource, self.redirect_target
            )
            others = (
                one
                for one in aggregate.by_client.get(self.client_id, ())
                if not one.is_for(self.resource, self.redirect_target)
            )
            aggregate.by_client = {**aggregate.by_client, self.client_id: (*others, given)}

    class Withdrawn(Event):
        """The client may have nothing any more."""

        TOPIC = "consent.withdrawn"
        client_id: str
        scope: tuple[str, ...]

        def apply(self, aggregate: "Consents") -> None:
            aggregate.by_client = {
                client_id: consents
                for client_id, consents in aggregate.by_client.items()
                if client_id != self.client_id
            }
            aggregate.withdrawn_at = {**aggregate.withdrawn_at, self.client_id: self.timestamp}

    @staticmethod
    def stream(subject: str) -> UUID:
        """Return the stream id of the consents of `subject`."""
        return directory_id("consents", subject)

    @classmethod
    def open(cls, subject: str, *, provenance: Provenance) -> "Consents":
        """Begin the stream of a person."""
        return cls._begin(cls.Opened, cls.stream(subject), provenance, subject=subject)

    def covers(
        self,
        client_id: str,
        scope: Collection[str],
        *,
        resource: Collection[str] = (),
        redirect_target: str | None = None,
        since: datetime | None = None,
    ) -> bool:
        """Tell whether the person consented to all of `scope` for this client, at these resources
        and by way of this target, and withdrew nothing from it at or after `since` (UTC): what was
        let through before a withdrawal does not come back with a new consent.
        """
        withdrawn_at = self.withdrawn_at.get(client_id)
        if since is not None and withdrawn_at is not None and since <= withdrawn_at:
            return False
        given = self._given(client_id, resource, redirect_target)
        return given is not None and set(scope) <= set(given.scope)

    def give(
        self,
        client_id: str,
        scope: tuple[str, ...],
        *,
        session_id: str,
        provenance: Provenance,
        resource: tuple[str, ...] = (),
        redirect_target: str | None = None,
    ) -> None:
        """Let the client have `scope` besides what it may have for the same; nothing changes where
        it may.
        """
        before = self._given(client_id, resource, redirect_target)
        known = before.scope if before else ()
        if before is None or not set(scope) <= set(known):
            self._record(
                self.Given,
                provenance,
                subject=self.subject,
                client_id=client_id,
                session_id=session_id,
                scope=(*known, *(name for name in scope if name not in known)),
                resource=resource,
                redirect_target=redirect_target,
            )

    def withdraw(self, client_id: str, *, provenance: Provenance) -> None:
        """Let the client have nothing any more; nothing changes where it had nothing."""
        before = self.by_client.get(client_id, ())
        if before:
            scope = dict.fromkeys(name for consent in before for name in consent.scope)
            self._record(
                self.Withdrawn,
                provenance,
                subject=self.subject,
                client_id=client_id,
                scope=tuple(scope),
            )

    def _given(
        self, client_id: str, resource: Collection[str], redirect_target: str | None
    ) -> Consent | None:
        of_client = self.by_client.get(client_id, ())
        return next((one for one in of_client if one.is_for(resource, redirect_target)), None)
