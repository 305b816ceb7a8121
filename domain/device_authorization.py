"""A device that asks for access (RFC 8628): requested, decided by a person, redeemed once.

| from      | approve  | deny   | redeem   |
|-----------|----------|--------|----------|
| requested | approved | denied | -        |
| approved  | -        | -      | redeemed |
| denied    | -        | -      | -        |
| redeemed  | -        | -      | -        |

How often the device polls is not a fact worth keeping, so it is not on this stream.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.errors import GrantNotUsable
from domain.issuance import Narrowing
from domain.provenance import Origin, Provenance
from domain.recorded import Recorded


class DeviceState(StrEnum):
    """Where a device authorization stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DENIED = "denied"
    REDEEMED = "redeemed"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved, how and when it had logged in, and what is granted."""

    subject: str
    session_id: str
    scope: Narrowing
    authenticated_at: datetime
    methods: tuple[str, ...]


class DeviceAuthorization(Recorded):
    """One request of one device; device code and user code are kept nowhere."""

    TOPIC = "device"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        requested: "DeviceAuthorization.Requested"
        approved: "DeviceAuthorization.Approved | None"
        state: DeviceState

    class Event(Recorded.Event):
        """Something that happened to a device authorization."""

        client_id: str

    class Requested(Event, Recorded.Created):
        """A device asks for access and shows its user code until `expires_at` (UTC). `pepper_id` is
        the pepper that its device code is derived under, "" where that is not known.
        """

        TOPIC = "device.requested"
        class_version = 3
        requested_scope: tuple[str, ...]
        resource: tuple[str, ...]
        expires_at: datetime
        address: str
        user_agent: str
        authorization_details: tuple[dict[str, Any], ...]
        pepper_id: str

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew scopes alone."""
            state["authorization_details"] = ()

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """Up to version 2 the pepper was not named."""
            state["pepper_id"] = ""

        def apply(self, aggregate: "DeviceAuthorization") -> None:
            aggregate.requested = self
            aggregate.approved = None
            aggregate.state = DeviceState.REQUESTED

    Created = Requested  # the inherited name: every event has its topic

    class Approved(Event):
        """A person let the device act, in the session `session_id` of its browser."""

        TOPIC = "device.approved"
        subject: str
        session_id: str
        scope: tuple[str, ...]
        withheld_by_client: tuple[str, ...]
        withheld_by_owner: tuple[str, ...]
        authenticated_at: datetime
        methods: tuple[str, ...]

        def apply(self, aggregate: "DeviceAuthorization") -> None:
            aggregate.approved = self
            aggregate.state = DeviceState.APPROVED

    class Denied(Event):
        """A person said no."""

        TOPIC = "device.denied"
        subject: str
        session_id: str

        def apply(self, aggregate: "DeviceAuthorization") -> None:
            aggregate.state = DeviceState.DENIED

    class Redeemed(Event):
        """The device was issued the token `jti` and perhaps a family, in a session of its own."""

        TOPIC = "device.redeemed"
        subject: str
        session_id: str
        jti: str
        family_id: str | None

        def apply(self, aggregate: "DeviceAuthorization") -> None:
            aggregate.state = DeviceState.REDEEMED

    @classmethod
    def request(  # noqa: PLR0913  # each is a fact of its own in the event
        cls,
        stream_id: UUID,
        *,
        client_id: str,
        scope: tuple[str, ...],
        resource: tuple[str, ...],
        lifetime: timedelta,
        origin: Origin,
        provenance: Provenance,
        authorization_details: tuple[dict[str, Any], ...] = (),
        pepper_id: str = "",
    ) -> "DeviceAuthorization":
        """Record that a device asks."""
        return cls._begin(
            cls.Requested,
            stream_id,
            provenance,
            client_id=client_id,
            requested_scope=scope,
            resource=resource,
            expires_at=provenance.occurred_at + lifetime,
            address=origin.address,
            user_agent=origin.user_agent,
            authorization_details=authorization_details,
            pepper_id=pepper_id,
        )

    def expired(self, now: datetime) -> bool:
        """Tell whether the codes have ended at `now` (aware, UTC)."""
        return now >= self.requested.expires_at

    def approve(self, approval: Approval, provenance: Provenance) -> None:
        """Let the device act. Raises GrantNotUsable once decided or expired."""
        self._require(DeviceState.REQUESTED, provenance)
        self._record(
            self.Approved,
            provenance,
            client_id=self.requested.client_id,
            subject=approval.subject,
            session_id=approval.session_id,
            scope=approval.scope.granted,
            withheld_by_client=approval.scope.withheld_by_client,
            withheld_by_owner=approval.scope.withheld_by_owner,
            authenticated_at=approval.authenticated_at,
            methods=approval.methods,
        )

    def deny(self, *, subject: str, session_id: str, provenance: Provenance) -> None:
        """Refuse the device. Raises GrantNotUsable once decided or expired."""
        self._require(DeviceState.REQUESTED, provenance)
        self._record(
            self.Denied,
            provenance,
            client_id=self.requested.client_id,
            subject=subject,
            session_id=session_id,
        )

    def redeem(
        self, *, session_id: str, jti: str, family_id: str | None, provenance: Provenance
    ) -> None:
        """Use the device code up. Raises GrantNotUsable unless approved and in time."""
        self._require(DeviceState.APPROVED, provenance)
        assert self.approved is not None
        self._record(
            self.Redeemed,
            provenance,
            client_id=self.requested.client_id,
            subject=self.approved.subject,
            session_id=session_id,
            jti=jti,
            family_id=family_id,
        )

    def _require(self, state: DeviceState, provenance: Provenance) -> None:
        if self.state is not state:
            raise GrantNotUsable(f"device authorization {self.state}")
        if self.expired(provenance.occurred_at):
            raise GrantNotUsable("device authorization expired")
