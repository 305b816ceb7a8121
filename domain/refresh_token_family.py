"""All refresh tokens of one grant: which of them counts, and what presenting another one means.

The generation that a rotation made last is *current*; the one before is its *predecessor*. Nothing
else is stored of the tokens: they are derived from stream id and generation.

| presented                                       | living | revoked | expired |
|-------------------------------------------------|--------|---------|---------|
| current                                         | rotate | refuse  | refuse  |
| predecessor, inside the grace window            | retry  | refuse  | refuse  |
| retired while the request was on its way        | late   | refuse  | refuse  |
| predecessor, later; any older; one never issued | reuse  | refuse  | refuse  |

- *rotate*: the next generation becomes current; or, where the client's stay the same, it is used.
- *retry*: the answer to the rotation was lost; the same successor again, with a new access token.
  The successor is unused by definition: had it been presented, it would not be current.
- *late*: the request arrived before the generation was retired and was overtaken by its own retry.
  It is refused, and means nothing: a copy cannot arrive in the past.
- *reuse*: somebody holds a copy. The family and its access tokens are revoked, the evidence stays.

A clock that steps back makes the window longer, never the family fork: only versions of this
stream decide which generation is current.

MOST_ALIVE access tokens of a family work at once. All of them end with it, in one unit, and who
holds a refresh token must not be able to make that unit so large that it cannot be recorded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.confirmation import Confirmation
from domain.errors import GrantNotUsable, TooManyAlive
from domain.provenance import Origin, Provenance
from domain.recorded import Recorded

FIRST_GENERATION = 1
ON_ITS_WAY = timedelta(seconds=10)
"""The longest that a request of ours takes from arrival to decision."""
MOST_ALIVE = 1_000
"""One token every four seconds, where they live for an hour."""


class Use(StrEnum):
    """What presenting a generation means."""

    ROTATE = "rotate"
    RETRY = "retry"
    LATE = "late"
    REUSE = "reuse"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token that was issued with a generation: its `jti` as text, and its end (UTC)."""

    jti: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FamilyTerms:
    """What a family is begun with; `scope` and `authorization_details` (RFC 9396) bound every
    access token, lifetimes are in seconds. With `confirmation`, only the holder of that key may use
    its refresh tokens. `subject_version` is that of the principal which it was decided upon.
    """

    client_id: str
    subject: str
    session_id: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    authenticated_at: datetime
    lifetime: int
    idle_lifetime: int
    grace: int
    confirmation: Confirmation | None = None
    authorization_details: tuple[dict[str, Any], ...] = ()
    subject_version: int | None = None


class RefreshTokenFamily(Recorded):
    """One grant that outlives its access tokens."""

    TOPIC = "family"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        started: "RefreshTokenFamily.Started"
        generation: int
        pepper_id: str
        peppers: tuple[tuple[int, str], ...]
        """From which generation on which pepper they were derived under, the oldest first."""
        rotated_at: datetime
        used_at: datetime
        retired: tuple[tuple[int, datetime], ...]
        revoked: bool
        tokens: tuple[IssuedToken, ...]

    class Event(Recorded.Event):
        """Something that happened to the family `family_id` of a client and a person."""

        family_id: str
        client_id: str
        subject: str
        session_id: str

    class Started(Event, Recorded.Created):
        """The first generation was issued, together with the access token `jti`.

        `pepper_id` names the pepper that its refresh token is derived under. Lifetimes and the
        grace window are in seconds, as they were in force. `subject_version` is the version of the
        principal that it was decided upon, None where that is not known.
        """

        TOPIC = "family.started"
        class_version = 3
        generation: int
        pepper_id: str
        scope: tuple[str, ...]
        audience: tuple[str, ...]
        authenticated_at: datetime
        expires_at: datetime
        idle_lifetime: int
        grace: int
        jti: str
        token_expires_at: datetime
        confirmation: Confirmation | None
        authorization_details: tuple[dict[str, Any], ...]
        subject_version: int | None

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew neither bound keys nor authorization details."""
            state.update(confirmation=None, authorization_details=())

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """Up to version 2 the version of the principal was not named."""
            state["subject_version"] = None

        def apply(self, aggregate: "RefreshTokenFamily") -> None:
            aggregate.started = self
            aggregate.peppers = ()
            aggregate.revoked = False
            aggregate.tokens = ()
            aggregate.retired = ()
            _advance(aggregate, self)

    Created = Started  # the inherited name: every event has its topic

    class Rotated(Event):
        """`generation` replaced its predecessor, which is retired from now on."""

        TOPIC = "family.rotated"
        generation: int
        pepper_id: str
        jti: str
        token_expires_at: datetime

        def apply(self, aggregate: "RefreshTokenFamily") -> None:
            recent = aggregate.retired
            if recent and self.timestamp - recent[0][1] > ON_ITS_WAY:
                recent = tuple(one for one in recent if self.timestamp - one[1] <= ON_ITS_WAY)
            aggregate.retired = (*recent, (aggregate.generation, self.timestamp))
            _advance(aggregate, self)

    class RotationRetried(Event):
        """The predecessor came again: the answer was lost, and the same successor was sent."""

        TOPIC = "family.rotation_retried"
        generation: int
        jti: str
        token_expires_at: datetime

        def apply(self, aggregate: "RefreshTokenFamily") -> None:
            _keep_token(aggregate, self)

    class Used(Event):
        """The current generation was used and stays current: this client's do not rotate."""

        TOPIC = "family.used"
        generation: int
        jti: str
        token_expires_at: datetime

        def apply(self, aggregate: "RefreshTokenFamily") -> None:
            aggregate.used_at = self.timestamp
            _keep_token(aggregate, self)

    class ReuseDetected(Event):
        """A retired generation was presented: the family is void. `tokens_revoked` are jtis."""

        TOPIC = "family.reuse_detected"
        presented: int
        generation: int
        address: str
        user_agent: str
        tokens_revoked: tuple[str, ...]

        def apply(self, aggregate: "RefreshTokenFamily") -> None:
            aggregate.revoked = True

    class Revoked(Event):
        """The family is void by an act of `by`. `tokens_revoked` are jtis."""

        TOPIC = "family.revoked"
        generation: int
        by: str
        reason: str
        tokens_revoked: tuple[str, ...]

        def apply(self, aggregate: "RefreshTokenFamily") -> None:
            aggregate.revoked = True

    @classmethod
    def start(
        cls,
        stream_id: UUID,
        terms: FamilyTerms,
        *,
        pepper_id: str,
        token: IssuedToken,
        provenance: Provenance,
    ) -> "RefreshTokenFamily":
        """Begin a family with its first generation."""
        return cls._begin(
            cls.Started,
            stream_id,
            provenance,
            family_id=str(stream_id),
            client_id=terms.client_id,
            subject=terms.subject,
            session_id=terms.session_id,
            generation=FIRST_GENERATION,
            pepper_id=pepper_id,
            scope=terms.scope,
            audience=terms.audience,
            authenticated_at=terms.authenticated_at,
            expires_at=provenance.occurred_at + timedelta(seconds=terms.lifetime),
            idle_lifetime=terms.idle_lifetime,
            grace=terms.grace,
            jti=token.jti,
            token_expires_at=token.expires_at,
            confirmation=terms.confirmation,
            authorization_details=terms.authorization_details,
            subject_version=terms.subject_version,
        )

    @property
    def family_id(self) -> str:
        """The stream id as text."""
        return str(self.id)

    @property
    def expires_at(self) -> datetime:
        """When the current generation ends (UTC): the sooner of absolute and idle lifetime."""
        idle = self.used_at + timedelta(seconds=self.started.idle_lifetime)
        return min(self.started.expires_at, idle)

    def derived_under(self, generation: int, pepper_id: str) -> bool:
        """Tell whether `generation` was issued under this pepper. One that was never issued would
        have been under the present one.

        A pepper that was demoted, because it leaked perhaps, makes nothing that was issued under
        its successor: not even a predecessor, which would be answered with the token that counts.
        """
        under = next((name for since, name in reversed(self.peppers) if since <= generation), "")
        return under == pepper_id

    def live(self, now: datetime) -> bool:
        """Tell whether the current generation can be used at `now` (aware, UTC)."""
        return not self.revoked and now < self.expires_at

    def meaning_of(self, presented: int, now: datetime) -> Use:
        """Return what presenting `presented` means; it arrived at `now` (aware, UTC)."""
        if self.revoked:
            return Use.REVOKED
        if now >= self.expires_at:
            return Use.EXPIRED
        if presented == self.generation:
            return Use.ROTATE
        grace = timedelta(seconds=self.started.grace)
        in_window = (
            bool(grace) and now - self.rotated_at <= grace and self.generation > FIRST_GENERATION
        )
        if presented == self.generation - 1 and in_window:
            return Use.RETRY
        overtaken = any(
            generation == presented and timedelta(0) < retired_at - now <= ON_ITS_WAY
            for generation, retired_at in self.retired
        )
        return Use.LATE if overtaken else Use.REUSE

    def tokens_alive(self, now: datetime) -> tuple[IssuedToken, ...]:
        """Return the access tokens of the family that have not expired at `now`."""
        return tuple(token for token in self.tokens if now < token.expires_at)

    def has_room(self, now: datetime) -> bool:
        """Tell whether fewer than MOST_ALIVE of its access tokens work at `now`."""
        return len(self.tokens) < MOST_ALIVE or len(self.tokens_alive(now)) < MOST_ALIVE

    def rotate(self, *, pepper_id: str, token: IssuedToken, provenance: Provenance) -> None:
        """Replace the current generation. Raises GrantNotUsable for a revoked family, TooManyAlive
        where MOST_ALIVE of its access tokens work.
        """
        self._require_room(provenance)
        self._happened(
            self.Rotated,
            provenance,
            generation=self.generation + 1,
            pepper_id=pepper_id,
            jti=token.jti,
            token_expires_at=token.expires_at,
        )

    def use(self, *, token: IssuedToken, provenance: Provenance) -> None:
        """Record that the current generation was used and stays. Raises as `rotate` does."""
        self._require_room(provenance)
        self._happened(
            self.Used,
            provenance,
            generation=self.generation,
            jti=token.jti,
            token_expires_at=token.expires_at,
        )

    def retry(self, *, token: IssuedToken, provenance: Provenance) -> None:
        """Record that the current generation is sent again. Raises as `rotate` does."""
        self._require_room(provenance)
        self._happened(
            self.RotationRetried,
            provenance,
            generation=self.generation,
            jti=token.jti,
            token_expires_at=token.expires_at,
        )

    def detect_reuse(self, presented: int, *, origin: Origin, provenance: Provenance) -> None:
        """Void the family because a retired generation came. Raises GrantNotUsable as well."""
        self._require_living()
        self._happened(
            self.ReuseDetected,
            provenance,
            presented=presented,
            generation=self.generation,
            address=origin.address,
            user_agent=origin.user_agent,
            tokens_revoked=self._jtis_alive(provenance),
        )

    def revoke(self, *, by: str, reason: str, provenance: Provenance) -> None:
        """Void the family; a second time changes nothing."""
        if not self.revoked:
            self._happened(
                self.Revoked,
                provenance,
                generation=self.generation,
                by=by,
                reason=reason,
                tokens_revoked=self._jtis_alive(provenance),
            )

    def _jtis_alive(self, provenance: Provenance) -> tuple[str, ...]:
        return tuple(token.jti for token in self.tokens_alive(provenance.occurred_at))

    def _require_room(self, provenance: Provenance) -> None:
        self._require_living()
        now = provenance.occurred_at
        if not self.has_room(now):
            first = min(token.expires_at for token in self.tokens_alive(now))
            raise TooManyAlive(ceil((first - now).total_seconds()))

    def _require_living(self) -> None:
        if self.revoked:
            raise GrantNotUsable("family revoked")

    def _happened(self, event_class: type[Event], provenance: Provenance, **facts: object) -> None:
        self._record(
            event_class,
            provenance,
            family_id=self.family_id,
            client_id=self.started.client_id,
            subject=self.started.subject,
            session_id=self.started.session_id,
            **facts,
        )


def _advance(
    family: RefreshTokenFamily, event: RefreshTokenFamily.Started | RefreshTokenFamily.Rotated
) -> None:
    if not family.peppers or family.peppers[-1][1] != event.pepper_id:
        family.peppers = (*family.peppers, (event.generation, event.pepper_id))
    family.generation = event.generation
    family.pepper_id = event.pepper_id
    family.rotated_at = family.used_at = event.timestamp
    _keep_token(family, event)


def _keep_token(
    family: RefreshTokenFamily,
    event: RefreshTokenFamily.Started
    | RefreshTokenFamily.Rotated
    | RefreshTokenFamily.Used
    | RefreshTokenFamily.RotationRetried,
) -> None:
    tokens = family.tokens
    if tokens and tokens[0].expires_at <= event.timestamp:
        # Only what still works: a family lives for weeks, its access tokens for an hour.
        tokens = tuple(token for token in tokens if event.timestamp < token.expires_at)
    family.tokens = (*tokens, IssuedToken(event.jti, event.token_expires_at))
