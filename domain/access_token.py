"""An access token: issued once, perhaps revoked. Its stream id is the token's `jti`.

TokenIssued is always version 1 of a fresh UUIDv7 stream: no read before it and no conflict
possible. The event carries everything the decision rested on, so that it explains itself.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.client_configuration import CLIENT_CREDENTIALS
from domain.confirmation import Confirmation
from domain.descent import Actor, Descent
from domain.provenance import Provenance
from domain.recorded import Recorded

ACCESS_TOKEN = "access_token"  # noqa: S105  # the name of a type
ID_JAG = "id_jag"


class AccessToken(Recorded):
    """The record of one access token (RFC 9068); the token's value is kept nowhere."""

    TOPIC = "token"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        issued: "AccessToken.Issued"
        revoked: bool
        cut: bool
        """Whether what was exchanged for it, or for its descendants, is void as well."""

    class Event(Recorded.Event):
        """Something that happened to the token whose `jti` is the stream id."""

        client_id: str
        subject: str
        session_id: str

    class Issued(Event, Recorded.Created):
        """The token was issued.

        `client_version` and `owner_version` are the versions of the configuration that decided;
        `requested_scope` is None where the request named none; `withheld_*` is what the narrowing
        removed and where it was lacking; `policy` fingerprints the scope catalogue in force. In
        grants for a person the owner is that person: `roles` it had, when it `authenticated_at`,
        and `family_id`, the family that the token was issued with. `descent` tells what a token was
        exchanged from, `may_act` who may act for its subject (None for whoever gets it), and
        `form` whether it is an access_token, or an id_jag for another authorization server.
        `confirmation` is the key it is bound to, `authorization_details` what was granted beyond
        scopes (RFC 9396). `payload_sha256` is the SHA-256 of the JWS payload that was signed for
        it, `id_payload_sha256` that of the ID token that came with it, both as base64url: None
        where there was none, and in events of before version 5.
        """

        TOPIC = "token.issued"
        class_version = 5
        client_version: int
        owner_version: int | None
        grant_type: str
        requested_scope: tuple[str, ...] | None
        scope: tuple[str, ...]
        withheld_by_client: tuple[str, ...]
        withheld_by_owner: tuple[str, ...]
        audience: tuple[str, ...]
        expires_at: datetime
        kid: str
        algorithm: str
        authentication_method: str
        credential_id: str
        address: str
        user_agent: str
        plugin_id: str | None
        policy: str
        family_id: str | None
        authenticated_at: datetime | None
        roles: tuple[str, ...] | None
        descent: Descent | None
        may_act: tuple[str, ...] | None
        form: str
        confirmation: Confirmation | None
        authorization_details: tuple[dict[str, Any], ...]
        payload_sha256: str | None
        id_payload_sha256: str | None

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew machines only."""
            state.update(family_id=None, authenticated_at=None, roles=None)

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """Up to version 2 nobody acted for somebody else."""
            state.update(descent=None, may_act=None, form=ACCESS_TOKEN)

        @staticmethod
        def upcast_v3_v4(state: dict[str, Any]) -> None:
            """Up to version 3 tokens were bearer tokens, and scopes were all there was to grant."""
            state.update(confirmation=None, authorization_details=())

        @staticmethod
        def upcast_v4_v5(state: dict[str, Any]) -> None:
            """Up to version 4 the record did not say which bytes were signed for it."""
            state.update(payload_sha256=None, id_payload_sha256=None)

        def apply(self, aggregate: "AccessToken") -> None:
            aggregate.issued = self
            aggregate.revoked = False
            aggregate.cut = False

    Created = Issued  # the inherited name: every event has its topic

    class Revoked(Event):
        """The token is void from now on. `by` is the client or administrator that did it;
        `descendants` says that every token that descends from it is void too.
        """

        TOPIC = "token.revoked"
        class_version = 2
        by: str
        reason: str
        descendants: bool

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew no descendants."""
            state["descendants"] = False

        def apply(self, aggregate: "AccessToken") -> None:
            aggregate.revoked = True
            aggregate.cut = aggregate.cut or self.descendants

    @property
    def lineage(self) -> tuple[str, ...]:
        """The `jti` of its ancestors, the oldest first."""
        return self.issued.descent.lineage if self.issued.descent else ()

    @property
    def actors(self) -> tuple[Actor, ...]:
        """Who acts, the newest first."""
        return self.issued.descent.actors if self.issued.descent else ()

    @property
    def of_machine(self) -> bool:
        """Whether a client got it for itself, and for nobody else: `sub` names its owner all the
        same where it has one.
        """
        return self.issued.grant_type == CLIENT_CREDENTIALS

    def sign_as(self, payload_sha256: str) -> None:
        """Name in the record what is signed for the token; a recorded token stays as it is."""
        self.issued = self._completed(self.issued, payload_sha256=payload_sha256)

    def sign_id_token_as(self, payload_sha256: str) -> None:
        """Name in the record what is signed for its ID token; a recorded one stays as it is."""
        self.issued = self._completed(self.issued, id_payload_sha256=payload_sha256)

    def revoke(
        self, *, by: str, reason: str, provenance: Provenance, descendants: bool = False
    ) -> None:
        """Void the token (RFC 7009), with its `descendants` or alone; what is void stays so."""
        if not self.revoked or (descendants and not self.cut):
            self._record(
                self.Revoked,
                provenance,
                client_id=self.issued.client_id,
                subject=self.issued.subject,
                session_id=self.issued.session_id,
                by=by,
                reason=reason,
                descendants=descendants,
            )
