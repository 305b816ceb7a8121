"""An authorization code: issued to a browser, redeemed once by its client, for a minute.

| from     | redeem   | presented again          |
|----------|----------|--------------------------|
| issued   | redeemed | -                        |
| redeemed | -        | replayed; what it issued is revoked (RFC 6749, Section 4.1.2) |
| replayed | -        | -                        |

Single use is the version of this stream: of two redemptions at once, one meets a conflict.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.confirmation import Confirmation
from domain.errors import GrantNotUsable
from domain.issuance import Narrowing
from domain.provenance import Provenance
from domain.recorded import Recorded

LIFETIME = timedelta(seconds=60)
"""RFC 6749, Section 4.1.2: "A maximum authorization code lifetime of 10 minutes is RECOMMENDED"."""


class CodeState(StrEnum):
    """Where a code stands."""

    ISSUED = "issued"
    REDEEMED = "redeemed"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class CodeTerms:
    """What a code is bound to.

    `redirect_uri` as the request gave it; `challenge` the S256 PKCE challenge (RFC 7636);
    `resource` what the request named (RFC 8707); `scope` and `authorization_details` (RFC 9396)
    what is granted. Who redeems the code must prove to hold the key of `confirmation`.
    """

    client_id: str
    subject: str
    session_id: str
    redirect_uri: str
    challenge: str
    requested_scope: tuple[str, ...]
    scope: Narrowing
    resource: tuple[str, ...]
    nonce: str | None
    authenticated_at: datetime
    methods: tuple[str, ...]
    confirmation: Confirmation | None = None
    authorization_details: tuple[dict[str, Any], ...] = ()


class AuthorizationCode(Recorded):
    """The record of one code; its value is derived from the stream id and kept nowhere."""

    TOPIC = "code"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        issued: "AuthorizationCode.Issued"
        state: CodeState
        family_id: str | None
        jti: str | None

    class Event(Recorded.Event):
        """Something that happened to a code."""

        client_id: str
        subject: str
        session_id: str

    class Issued(Event, Recorded.Created):
        """The person let the client act: a code went to `redirect_uri`. `pepper_id` is the pepper
        that it is derived under, "" where that is not known.
        """

        TOPIC = "code.issued"
        class_version = 3
        redirect_uri: str
        challenge: str
        requested_scope: tuple[str, ...]
        scope: tuple[str, ...]
        withheld_by_client: tuple[str, ...]
        withheld_by_owner: tuple[str, ...]
        resource: tuple[str, ...]
        nonce: str | None
        authenticated_at: datetime
        methods: tuple[str, ...]
        expires_at: datetime
        confirmation: Confirmation | None
        authorization_details: tuple[dict[str, Any], ...]
        pepper_id: str

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew neither bound keys nor authorization details."""
            state.update(confirmation=None, authorization_details=())

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """Up to version 2 the pepper was not named."""
            state["pepper_id"] = ""

        def apply(self, aggregate: "AuthorizationCode") -> None:
            aggregate.issued = self
            aggregate.state = CodeState.ISSUED
            aggregate.family_id = None
            aggregate.jti = None

    Created = Issued  # the inherited name: every event has its topic

    class Redeemed(Event):
        """The client exchanged the code for the token `jti` and perhaps a family."""

        TOPIC = "code.redeemed"
        jti: str
        family_id: str | None

        def apply(self, aggregate: "AuthorizationCode") -> None:
            aggregate.state = CodeState.REDEEMED
            aggregate.jti = self.jti
            aggregate.family_id = self.family_id

    class Replayed(Event):
        """The code came again: what it issued is revoked."""

        TOPIC = "code.replayed"
        jti: str
        family_id: str | None
        address: str

        def apply(self, aggregate: "AuthorizationCode") -> None:
            aggregate.state = CodeState.REPLAYED

    @classmethod
    def issue(
        cls, stream_id: UUID, terms: CodeTerms, *, provenance: Provenance, pepper_id: str = ""
    ) -> "AuthorizationCode":
        """Record a code that goes to the client by way of the browser."""
        return cls._begin(
            cls.Issued,
            stream_id,
            provenance,
            client_id=terms.client_id,
            subject=terms.subject,
            session_id=terms.session_id,
            redirect_uri=terms.redirect_uri,
            challenge=terms.challenge,
            requested_scope=terms.requested_scope,
            scope=terms.scope.granted,
            withheld_by_client=terms.scope.withheld_by_client,
            withheld_by_owner=terms.scope.withheld_by_owner,
            resource=terms.resource,
            nonce=terms.nonce,
            authenticated_at=terms.authenticated_at,
            methods=terms.methods,
            expires_at=provenance.occurred_at + LIFETIME,
            confirmation=terms.confirmation,
            authorization_details=terms.authorization_details,
            pepper_id=pepper_id,
        )

    def redeem(self, *, jti: str, family_id: str | None, provenance: Provenance) -> None:
        """Use the code up. Raises GrantNotUsable for one that is used or has expired."""
        if self.state is not CodeState.ISSUED:
            raise GrantNotUsable("code used")
        if provenance.occurred_at >= self.issued.expires_at:
            raise GrantNotUsable("code expired")
        self._happened(self.Redeemed, provenance, jti=jti, family_id=family_id)

    def replay(self, *, address: str, provenance: Provenance) -> None:
        """Record that a used code came again; further times change nothing.

        Raises GrantNotUsable for a code that was never redeemed.
        """
        if self.state is CodeState.ISSUED:
            raise GrantNotUsable("code not used yet")
        if self.state is CodeState.REDEEMED:
            self._happened(
                self.Replayed,
                provenance,
                jti=self.jti,
                family_id=self.family_id,
                address=address,
            )

    def _happened(self, event_class: type[Event], provenance: Provenance, **facts: object) -> None:
        self._record(
            event_class,
            provenance,
            client_id=self.issued.client_id,
            subject=self.issued.subject,
            session_id=self.issued.session_id,
            **facts,
        )
