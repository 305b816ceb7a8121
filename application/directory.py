"""Clients, principals, trusted issuers and signing keys in memory, kept fresh by tailing the log.

All of them live in the directory partition, so that the tail reads a small index and none of the
tokens. A change made on one replica binds every replica within a refresh; a replica that could not
read the log for STALE_SECONDS refuses to decide.

A stream with an event that cannot be decoded is left out from then on, whoever it is about: without
that event a client that was disabled would be enabled. To all who ask it is unknown, and so it is
refused, while the other streams are followed as ever. Its names stay taken: its stream is there.

Each reading also asks for the newest event that this process knows. Where the log has another at
its place, or none, it went back: nothing is decided until all was read anew, the keys included, and
the loss is recorded (application.ledger.log_epoch).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from application.ledger.errors import LedgerUnavailable, StreamUnreadable
from application.ledger.grouped_read import stored_event
from application.ledger.link import Link
from application.ledger.log_epoch import LogEpoch
from application.ledger.log_identity import HEAD, KNOWN, NIL, TAIL_FACTS, KnownEvent, fact
from application.ledger.log_loss import LossRecorder
from application.ledger.mapper import LedgerMapper
from application.ledger.pg_binary import int8, read_int
from application.ledger.schema import month_partition
from application.ledger.wire import Row, Statement
from application.ports import REFRESH_SECONDS
from domain.client import Client
from domain.ids import DIRECTORY_FIRST_BYTE, uuid7_moment
from domain.initial_access import InitialAccess
from domain.log_continuity import LogContinuity, LogLoss
from domain.principal import Principal
from domain.recorded import Administered
from domain.retention import Retention
from domain.signing_key import SigningKey
from domain.trusted_issuer import TrustedIssuer

STALE_SECONDS = 5.0
_PAGE = 500
"""A key set that somebody registered may have some tens of kilobytes, and a page is one answer."""
_TAIL = Statement(
    "tail",
    "(SELECT originator_id, originator_version, topic, state, notification_id"  # noqa: S608  # constants
    " FROM grantledger.ledger_events_directory WHERE notification_id > $1::bigint"
    # Consents are found there by their subject as well, and nobody wants all of them in memory.
    " AND topic NOT IN ('consents.opened', 'consent.given', 'consent.withdrawn')"
    " ORDER BY notification_id LIMIT $2::bigint)"
    # How far that is complete where it is less than a page: else each reading would go over all
    # consents since the last change of a client or person.
    " UNION ALL SELECT NULL, NULL, NULL, NULL, max(notification_id)"
    " FROM grantledger.ledger_events_directory" + TAIL_FACTS,
)
_EVENT = Statement(
    "event",
    "SELECT state FROM grantledger.ledger_events_directory"
    " WHERE originator_id = $1::uuid AND originator_version = $2::bigint",
)
_DETACHED = Retention.Detached.TOPIC.encode()

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnreadableStream:
    """A stream that is left out: its first event that could not be read, and since when (UTC)."""

    stream_id: UUID
    position: int
    topic: str
    since: datetime


class LogWentBack(LedgerUnavailable):
    """The newest event that was known is not at its place in the log."""


async def _nothing(_: Iterable[SigningKey]) -> None:
    pass


class LogDirectory:
    """The directory of one process. `on_keys` is called after a refresh that changed a key, and
    `on_read_anew`, with all keys, once all was read anew and before anything is decided upon it.

    `link` leads the others of `epoch`. Without `losses`, a log that went back is not recorded.
    """

    def __init__(
        self,
        link: Link,
        mapper: LedgerMapper,
        epoch: LogEpoch | None = None,
        losses: LossRecorder | None = None,
    ) -> None:
        self._link = link
        self._mapper = mapper
        self._epoch = epoch or LogEpoch()
        self._epoch.led = True
        self._losses = losses
        self._loss: LogLoss | None = None
        self._refreshing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self.on_keys: Callable[[], None] = lambda: None
        self.on_read_anew: Callable[[Iterable[SigningKey]], Awaitable[None]] = _nothing
        self._forget()

    def _forget(self) -> None:
        self.position = 0
        self._last: StoredEvent | None = None
        self._entries: dict[UUID, Administered] = {}
        self._clients: dict[str, Client] = {}
        self._principals: dict[str, Principal] = {}
        self._issuers: dict[str, TrustedIssuer] = {}
        self._keys: dict[str, SigningKey] = {}
        self._initial_accesses: dict[str, InitialAccess] = {}
        self._unreadable: dict[UUID, UnreadableStream] = {}
        self._continuity: dict[UUID, LogContinuity] = {}

    async def start(self) -> None:
        """Read the whole directory once, then keep tailing. Raises LedgerUnavailable."""
        await self.refresh()
        self._task = asyncio.get_running_loop().create_task(self._tail(), name="directory")

    async def close(self) -> None:
        """Stop tailing."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._link.drop()

    def client(self, client_id: str) -> Client | None:
        """Return the client, or None. Raises LedgerUnavailable while all is read anew."""
        self._require_open()
        return self._clients.get(client_id)

    def principal(self, subject: str) -> Principal | None:
        """Return the principal, or None. Raises as `client`."""
        self._require_open()
        return self._principals.get(subject)

    def issuer(self, issuer: str) -> TrustedIssuer | None:
        """Return the issuer, removed or not, or None where it never was trusted.

        Raises as `client`.
        """
        self._require_open()
        return self._issuers.get(issuer)

    def issuers(self) -> Iterable[TrustedIssuer]:
        """Return every issuer that is or was trusted, by name. Raises as `client`."""
        self._require_open()
        return [self._issuers[name] for name in sorted(self._issuers)]

    def clients(self) -> Iterable[Client]:
        """Return every client, disabled ones too, by client_id. Raises as `client`."""
        self._require_open()
        return [self._clients[name] for name in sorted(self._clients)]

    def principals(self) -> Iterable[Principal]:
        """Return every principal, deactivated ones too, by subject. Raises as `client`."""
        self._require_open()
        return [self._principals[name] for name in sorted(self._principals)]

    def initial_accesses(self) -> Iterable[InitialAccess]:
        """Return every leave to register clients, ended ones too, oldest first.

        Raises as `client`.
        """
        self._require_open()
        return list(self._initial_accesses.values())

    def key(self, kid: str) -> SigningKey | None:
        """Return the signing key, retired and revoked ones too, or None.

        Raises StreamUnreadable where it cannot be told whether the key was revoked, and as `client`
        does.
        """
        self._require_open()
        if self._unreadable and SigningKey.stream(kid) in self._unreadable:
            raise StreamUnreadable(f"the signing key {kid} cannot be read")
        return self._keys.get(kid)

    def keys(self) -> Iterable[SigningKey]:
        """Return every signing key that is known, retired and revoked ones too, oldest first.

        Raises as `client`.
        """
        self._require_open()
        return list(self._keys.values())

    def unreadable(self) -> Sequence[UnreadableStream]:
        """Return the streams that are left out because an event of theirs cannot be decoded."""
        return list(self._unreadable.values())

    @property
    def age(self) -> float:
        """Seconds since the log was last read."""
        return monotonic() - self._read_at

    def require_fresh(self) -> None:
        """Raise LedgerUnavailable where the log could not be read for STALE_SECONDS, or is being
        read anew.
        """
        self._epoch.require()
        if self.age > STALE_SECONDS:
            raise LedgerUnavailable(f"the directory is {self.age:.0f} s old")

    def lost_with_the_log(self, iat: datetime) -> bool:
        """Tell whether a token that was issued at `iat` (UTC) may be lost with the log.

        If it is not in the log and this says True, it was recorded and lost when the log went back:
        it is void, and no sign that a signing key leaked.
        """
        return any(loss.covers(iat) for loss in self._continuity.values())

    def _require_open(self) -> None:
        if not self._epoch.open:
            raise LedgerUnavailable(self._epoch.doubts)

    async def refresh(self) -> None:
        """Read what is new in the log. Raises LedgerUnavailable."""
        async with self._refreshing:
            began = monotonic()
            keys_before = self._state_of_keys()
            try:
                await self._follow_log()
            finally:
                # However far it came: what was applied is not seen again by the next refresh.
                if keys_before != self._state_of_keys():
                    self.on_keys()
            self._read_at = began

    async def _follow_log(self) -> None:
        """Read on; where the log went back, or is in doubt, look at all of it first."""
        looked = not self._epoch.open
        if looked:
            await self._link.drop()  # connections may lead elsewhere by now
        previous = self._epoch.identity
        try:
            await self._read_on()
        except LogWentBack:
            self._epoch.doubt("the log went back and is read anew")
            self._epoch.follow()
            if self._losses is not None and self._loss is None:
                self._loss = await self._losses.measured(previous)
            self._forget()
            self._epoch.forget_events()
            await self._read_on()
            looked = True
        self._epoch.follow()
        if looked:  # what is doubted from now on is looked at by the next refresh
            await self.on_read_anew(list(self._keys.values()))
            if self._losses is not None and self._loss is not None:
                await self._losses.record(self._loss, lambda: self._entries, self._read_on)
                self._loss = None
            self._epoch.reopen()

    async def _read_on(self) -> None:
        while True:
            known = self._epoch.known
            stream, version = (NIL, 0) if known is None else (known.stream_id, known.version)
            asked = (stream.bytes, int8(version))
            try:
                rows = await self._link.fetch(_TAIL, (int8(self.position), int8(_PAGE), *asked))
            except (psycopg.Error, TimeoutError) as error:
                raise LedgerUnavailable("the directory cannot be read") from error
            await self._require_known(known, rows)
            # The row without a stream says how far it is; PostgreSQL may put it anywhere.
            found = [row for row in rows if row[0] is not None]
            head = next(row[4] for row in rows if row[0] is None and row[2] is None)
            for row in found:
                position = read_int(row[4])
                self._last = stored_event(row)
                self._follow(self._last, position)
                self.position = position
            self._epoch.saw(fact(rows, HEAD))
            if len(found) < _PAGE:
                if head is not None:
                    self.position = max(self.position, read_int(head))
                return

    async def _require_known(self, known: KnownEvent | None, rows: list[Row]) -> None:
        """Raise LogWentBack where the log has not what was `known` of it."""
        if known is None or known.is_at(fact(rows, KNOWN)):
            return
        if await self._left(known, rows):
            # Connections to come look for the newest event that is left: this one they never find.
            self._epoch.forget_events()
            return
        raise LogWentBack(f"the log has another event at position {known.position}, or none")

    async def _left(self, known: KnownEvent, rows: list[Row]) -> bool:
        """Tell whether the month of an event left the database, by the record of that: the newest
        event of the directory, which always stays, must be there still.
        """
        if known.stream_id.bytes[0] == DIRECTORY_FIRST_BYTE:
            return False
        month, _, _ = month_partition(uuid7_moment(known.stream_id), 0)
        stream, last = Retention.stream(month), self._last
        fate = self._entries.get(stream)
        recorded = isinstance(fate, Retention) and fate.detached
        just_now = any(row[0] == stream.bytes and row[2] == _DETACHED for row in rows)
        if last is None or not (recorded or just_now):
            return False
        assert isinstance(last.originator_id, UUID)
        key = (last.originator_id.bytes, int8(last.originator_version))
        try:
            rows = await self._link.fetch(_EVENT, key)
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("the directory cannot be read") from error
        return [row[0] for row in rows] == [last.state]

    def _state_of_keys(self) -> tuple[int, int]:
        return len(self._keys), sum(key.version for key in self._keys.values())

    def _follow(self, stored: StoredEvent, position: int) -> None:
        stream_id = UUID(str(stored.originator_id))
        if stream_id in self._unreadable:
            return
        try:
            self._apply(stored)
        except MemoryError:  # says nothing about the event
            raise
        except Exception:
            _log.exception(
                "the stream %s is left out: its event at position %d (%s) cannot be read",
                stream_id,
                position,
                stored.topic,
            )
            self._unreadable[stream_id] = UnreadableStream(
                stream_id, position, stored.topic, datetime.now(UTC)
            )
            self._leave_out(stream_id)

    def _leave_out(self, stream_id: UUID) -> None:
        entry = self._entries.pop(stream_id, None)
        by_name: tuple[dict[str, Any], ...] = (
            self._clients,
            self._principals,
            self._issuers,
            self._keys,
            self._initial_accesses,
        )
        for names in by_name:
            for name in [one for one, known in names.items() if known is entry]:
                del names[name]

    def _apply(self, stored: StoredEvent) -> None:
        event = self._mapper.to_domain_event(stored)
        entry = event.mutate(self._entries.get(event.originator_id))
        assert isinstance(entry, Administered)
        self._entries[event.originator_id] = entry
        if isinstance(entry, Client):
            self._clients[entry.client_id] = entry
        elif isinstance(entry, Principal):
            self._principals[entry.subject] = entry
        elif isinstance(entry, TrustedIssuer):
            self._issuers[entry.issuer] = entry
        elif isinstance(entry, InitialAccess):
            self._initial_accesses[entry.access_id] = entry
        elif isinstance(entry, SigningKey):
            self._keys[entry.kid] = entry
        elif isinstance(entry, LogContinuity):
            self._continuity[entry.id] = entry

    async def seen_by_all(self) -> None:
        """Return once every replica has read what is recorded by now: whoever was just registered
        may meet any of them with its next request. Raises LedgerUnavailable.
        """
        await self.refresh()
        await asyncio.sleep(2 * REFRESH_SECONDS)

    async def _tail(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except LedgerUnavailable:
                _log.warning("the directory cannot be read; it is %.1f s old", self.age)
            except Exception:
                # Whatever it is, it must not end the tailing. Deciding on a directory that cannot
                # follow the log would be a wrong yes: it grows old, and then refuses. No event
                # does this: the stream of one that cannot be read is left out alone.
                _log.exception("the directory cannot follow the log")
