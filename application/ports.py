"""What the use cases need from outside; the only things that unit tests replace."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.access_token import AccessToken
from domain.client import Client
from domain.issuance import SigningChoice
from domain.principal import Principal
from domain.recorded import Recorded
from domain.signing_key import SigningKey
from domain.trusted_issuer import TrustedIssuer

REFRESH_SECONDS = 0.2
"""How often a Directory reads what is new."""


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware and UTC."""


class Ids(Protocol):
    """Gives fresh names."""

    def stream_id(self, now: datetime) -> UUID:
        """Return a fresh UUIDv7 for the moment `now`."""

    def session_id(self) -> str:
        """Return a fresh session name."""

    def request_id(self) -> str:
        """Return a fresh request name."""


class EventLog(Protocol):
    """Where decisions become facts."""

    @property
    def generation(self) -> int:
        """A number that changes whenever the log turns out to be another, or to have gone back: a
        stream of before must not be continued.
        """

    async def save(self, *aggregates: Recorded) -> int:
        """Record all undecided facts as one unit. Raises a LedgerError, and Unrecordable for a fact
        that the log or its read models cannot hold.
        """

    async def announce(self, holder: UUID, streams: Iterable[UUID]) -> None:
        """Refuse every `save` on `streams`, with EndAnnounced, until the end `holder` is saved or
        withdrawn, or some seconds went by. Raises LedgerUnavailable.
        """

    async def save_end(self, holder: UUID, *aggregates: Recorded) -> int:
        """Record as `save` does, whatever is announced, and withdraw what `holder` announced."""

    async def withdraw(self, holder: UUID) -> None:
        """Take back what `holder` announced. Raises LedgerUnavailable."""

    async def load(self, stream_id: UUID) -> Any:
        """Return the aggregate of a stream as of now, or None. Raises LedgerUnavailable."""

    async def settled(self, stream_id: UUID) -> Any:
        """Return the same once no earlier save can still arrive. Raises LedgerUnavailable."""

    def recent(self, stream_id: UUID) -> Any:
        """Return the aggregate as of a while ago, or None: for what only counts once it is saved,
        and is refused with a Conflict where the stream has gone on.
        """


class Directory(Protocol):
    """Clients, principals and keys as of a moment ago (at most a second, or it refuses)."""

    def client(self, client_id: str) -> Client | None:
        """Return the client, or None."""

    def principal(self, subject: str) -> Principal | None:
        """Return the principal, or None."""

    def issuer(self, issuer: str) -> TrustedIssuer | None:
        """Return the issuer, removed or not, or None where it never was trusted."""

    def require_fresh(self) -> None:
        """Raise LedgerUnavailable where the log could not be read for too long."""

    async def refresh(self) -> None:
        """Read what was recorded by now. Raises LedgerUnavailable."""

    def key(self, kid: str) -> SigningKey | None:
        """Return the signing key, retired and revoked ones too, or None."""

    def lost_with_the_log(self, iat: datetime) -> bool:
        """Tell whether a token of ours that was issued at `iat` (UTC) and is not in the log may be
        one that the log lost when it went back.
        """

    def keys(self) -> Iterable[SigningKey]:
        """Return every signing key that is known, retired and revoked ones too."""


class UsedNames(Protocol):
    """Remembers what counts once, for all replicas."""

    async def use(self, kind: str, key: bytes, *, expires_at: datetime, now: datetime) -> bool:
        """Use a name that nothing accepts from `expires_at` on, for a request that came at `now`;
        False where it was used before. It is remembered longer (application.single_use).
        """


class TokenMinter(Protocol):
    """Signs what was issued."""

    def choose(self, algorithm: str | None) -> SigningChoice:
        """Return the active key of `algorithm`, or of the deployment's first where None."""

    def mint(self, token: AccessToken) -> str:
        """Return the signed JWT (RFC 9068) of a token that was decided."""

    def mint_id_token(
        self, token: AccessToken, access_token: str, *, about: Mapping[str, Any]
    ) -> str:
        """Return the signed ID token that goes with an access token."""
