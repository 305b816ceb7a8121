"""A person's session: begun by a login, named on every token as `sid`, ended by time or by act.

| from  | authenticate again | authorize a client | end   |
|-------|--------------------|--------------------|-------|
| live  | live               | live               | ended |
| ended | -                  | -                  | -     |

What was issued under a session is on its stream, so that ending it can revoke all of it in one
unit: whoever is issued tokens at the same moment meets a conflict, and then an ended session.

With MOST_AUTHORIZED grants that still work a session is full: for more of them its person logs in
to a new one. Else there would be no end to what is to be revoked with it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.errors import GrantNotUsable
from domain.provenance import Origin, Provenance
from domain.recorded import Recorded

PREFIX = "sess_"
MOST_AUTHORIZED = 1_000


@dataclass(frozen=True, slots=True)
class Authorized:
    """What one client was given under a session: a family, or a token alone.

    Both ids are UUIDs as text. `expires_at` (UTC) is when nothing of it can be used any more.
    """

    client_id: str
    family_id: str | None
    jti: str
    expires_at: datetime


class Session(Recorded):
    """One login of a person; its stream id is in its name."""

    TOPIC = "session"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        subject: str
        methods: tuple[str, ...]
        authenticated_at: datetime
        expires_at: datetime
        ended: bool
        logins: int
        authorized: tuple[Authorized, ...]
        subject_version: int | None
        started_at: datetime
        pepper_id: str

    class Event(Recorded.Event):
        """Something that happened to the session `session_id` of `subject`."""

        session_id: str
        subject: str

    class Started(Event, Recorded.Created):
        """The person logged in. `methods` are names of RFC 8176: pwd, hwk, user, fed.

        `authenticated_at` (UTC) is when it proved who it is: before, where that was done elsewhere.
        `subject_version` is the version of the principal that it was decided upon, `pepper_id` the
        pepper that the browser's cookie is derived under; None and "" where that is not known.
        """

        TOPIC = "session.started"
        class_version = 2
        methods: tuple[str, ...]
        authenticated_at: datetime
        expires_at: datetime
        address: str
        user_agent: str
        subject_version: int | None
        pepper_id: str

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 took every login for one of that moment, and named nothing else."""
            state.update(authenticated_at=state["occurred_at"], subject_version=None, pepper_id="")

        def apply(self, aggregate: "Session") -> None:
            aggregate.subject = self.subject
            aggregate.methods = self.methods
            aggregate.authenticated_at = self.authenticated_at
            aggregate.expires_at = self.expires_at
            aggregate.ended = False
            aggregate.logins = 1
            aggregate.authorized = ()
            aggregate.subject_version = self.subject_version
            aggregate.started_at = self.timestamp
            aggregate.pepper_id = self.pepper_id

    Created = Started  # the inherited name: every event has its topic

    class Authenticated(Event):
        """The same person logged in again. `authenticated_at` is as in session.started."""

        TOPIC = "session.authenticated"
        class_version = 2
        methods: tuple[str, ...]
        authenticated_at: datetime
        expires_at: datetime
        pepper_id: str

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 took every login for one of that moment, and did not name the pepper."""
            state.update(authenticated_at=state["occurred_at"], pepper_id="")

        def apply(self, aggregate: "Session") -> None:
            aggregate.pepper_id = self.pepper_id
            aggregate.methods = self.methods
            aggregate.authenticated_at = self.authenticated_at
            aggregate.expires_at = self.expires_at
            aggregate.logins += 1

    class ClientAuthorized(Event):
        """A client was issued tokens under this session."""

        TOPIC = "session.client_authorized"
        client_id: str
        family_id: str | None
        jti: str
        expires_at: datetime

        def apply(self, aggregate: "Session") -> None:
            known = aggregate.authorized
            if known and known[0].expires_at <= self.timestamp:
                known = tuple(one for one in known if self.timestamp < one.expires_at)
            new = Authorized(self.client_id, self.family_id, self.jti, self.expires_at)
            aggregate.authorized = (*known, new)

    class Ended(Event):
        """Nothing is issued under the session any more. `by` is who ended it."""

        TOPIC = "session.ended"
        by: str
        reason: str

        def apply(self, aggregate: "Session") -> None:
            aggregate.ended = True

    @staticmethod
    def name_of(stream_id: UUID) -> str:
        """Return the `sid` of the session whose stream id is `stream_id`."""
        return PREFIX + stream_id.hex

    @staticmethod
    def stream(session_id: str) -> UUID:
        """Return the stream id of the session called `session_id`. Raises ValueError."""
        if not session_id.startswith(PREFIX):
            raise ValueError("not the name of a session")
        return UUID(hex=session_id.removeprefix(PREFIX))

    @classmethod
    def start(  # noqa: PLR0913  # each is a fact of the event
        cls,
        stream_id: UUID,
        *,
        subject: str,
        methods: tuple[str, ...],
        lifetime: timedelta,
        origin: Origin,
        provenance: Provenance,
        authenticated_at: datetime | None = None,
        subject_version: int | None = None,
        pepper_id: str = "",
    ) -> "Session":
        """Begin a session for a person that proved who it is by `methods`, at `authenticated_at`
        (aware, UTC; None: at this moment); the rest as in Started.
        """
        return cls._begin(
            cls.Started,
            stream_id,
            provenance,
            session_id=cls.name_of(stream_id),
            subject=subject,
            methods=methods,
            authenticated_at=_past(authenticated_at, provenance),
            expires_at=provenance.occurred_at + lifetime,
            address=origin.address,
            user_agent=origin.user_agent,
            subject_version=subject_version,
            pepper_id=pepper_id,
        )

    @property
    def session_id(self) -> str:
        """The name that tokens carry as `sid`."""
        return self.name_of(self.id)

    @property
    def login_id(self) -> str:
        """The name of the last login in this session."""
        return f"{self.session_id} {self.logins}"

    def live(self, now: datetime) -> bool:
        """Tell whether the person counts as logged in at `now` (aware, UTC)."""
        return not self.ended and now < self.expires_at

    def full(self, now: datetime) -> bool:
        """Tell whether MOST_AUTHORIZED of its grants can be used at `now` (aware, UTC)."""
        if len(self.authorized) < MOST_AUTHORIZED:
            return False
        return sum(now < one.expires_at for one in self.authorized) >= MOST_AUTHORIZED

    def authenticate_again(
        self,
        *,
        methods: tuple[str, ...],
        lifetime: timedelta,
        provenance: Provenance,
        authenticated_at: datetime | None = None,
        pepper_id: str = "",
    ) -> None:
        """Record that the person logged in again, as `start` has it.

        Raises GrantNotUsable when ended.
        """
        self._require_not_ended()
        self._record(
            self.Authenticated,
            provenance,
            session_id=self.session_id,
            subject=self.subject,
            methods=methods,
            authenticated_at=_past(authenticated_at, provenance),
            expires_at=provenance.occurred_at + lifetime,
            pepper_id=pepper_id,
        )

    def authorize(self, given: Authorized, provenance: Provenance) -> None:
        """Record what a client is issued. Raises GrantNotUsable when ended or full.

        A session that merely expired still authorizes: the code or device was approved in time.
        """
        self._require_not_ended()
        if self.full(provenance.occurred_at):
            raise GrantNotUsable("session full")
        self._record(
            self.ClientAuthorized,
            provenance,
            session_id=self.session_id,
            subject=self.subject,
            client_id=given.client_id,
            family_id=given.family_id,
            jti=given.jti,
            expires_at=given.expires_at,
        )

    def end(self, *, by: str, reason: str, provenance: Provenance) -> None:
        """End the session; a second time changes nothing."""
        if not self.ended:
            self._record(
                self.Ended,
                provenance,
                session_id=self.session_id,
                subject=self.subject,
                by=by,
                reason=reason,
            )

    def _require_not_ended(self) -> None:
        if self.ended:
            raise GrantNotUsable("session ended")


def _past(authenticated_at: datetime | None, provenance: Provenance) -> datetime:
    # Another one's clock may run ahead: a login of the future would be recent for longer.
    return min(authenticated_at or provenance.occurred_at, provenance.occurred_at)
