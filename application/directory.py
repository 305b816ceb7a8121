"""Clients, principals, trusted issuers and signing keys in memory, kept fresh by tailing the log.

All of them live in the directory partition, so that the tail reads a small index and none of the
tokens. A change made on one replica binds every replica within a refresh; a replica that could not
read the log for STALE_SECONDS refuses to decide.

A stream with an event that cannot be decoded is left out from then on, whoever it is about: without
that event a client that was disabled would be enabled. To all who ask it is unknown, and so it is
refused, while the other streams are followed as ever. Its names stay taken: its stream is there.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
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
from application.ledger.mapper import LedgerMapper
from application.ledger.pg_binary import int8, read_int
from application.ledger.wire import Statement
from application.ports import REFRESH_SECONDS
from domain.client import Client
from domain.initial_access import InitialAccess
from domain.principal import Principal
from domain.recorded import Administered
from domain.signing_key import SigningKey
from domain.trusted_issuer import TrustedIssuer

STALE_SECONDS = 5.0
_PAGE = 500
"""A key set that somebody registered may have some tens of kilobytes, and a page is one answer."""
_TAIL = Statement(
    "tail",
    "(SELECT originator_id, originator_version, topic, state, notification_id"
    " FROM grantledger.ledger_events_directory WHERE notification_id > $1::bigint"
    # Consents are found there by their subject as well, and nobody wants all of them in memory.
    " AND topic NOT IN ('consents.opened', 'consent.given', 'consent.withdrawn')"
    " ORDER BY notification_id LIMIT $2::bigint)"
    # How far that is complete where it is less than a page: else each reading would go over all
    # consents since the last change of a client or person.
    " UNION ALL SELECT NULL, NULL, NULL, NULL, max(notification_id)"
    " FROM grantledger.ledger_events_directory",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnreadableStream:
    """A stream that is left out: its first event that could not be read, and since when (UTC)."""

    stream_id: UUID
    position: int
    topic: str
    since: datetime


class LogDirectory:
    """The directory of one process. `on_keys` is called after a refresh that changed a key."""

    def __init__(self, link: Link, mapper: LedgerMapper) -> None:
        self._link = link
        self._mapper = mapper
        self._entries: dict[UUID, Administered] = {}
        self._clients: dict[str, Client] = {}
        self._principals: dict[str, Principal] = {}
        self._issuers: dict[str, TrustedIssuer] = {}
        self._keys: dict[str, SigningKey] = {}
        self._initial_accesses: dict[str, InitialAccess] = {}
        self._unreadable: dict[UUID, UnreadableStream] = {}
        self._refreshing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self.position = 0
        self.on_keys: Callable[[], None] = lambda: None

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
        """Return the client, or None."""
        return self._clients.get(client_id)

    def principal(self, subject: str) -> Principal | None:
        """Return the principal, or None."""
        return self._principals.get(subject)

    def issuer(self, issuer: str) -> TrustedIssuer | None:
        """Return the issuer, removed or not, or None where it never was trusted."""
        return self._issuers.get(issuer)

    def issuers(self) -> Iterable[TrustedIssuer]:
        """Return every issuer that is or was trusted, by name."""
        return [self._issuers[name] for name in sorted(self._issuers)]

    def clients(self) -> Iterable[Client]:
        """Return every client, disabled ones too, by client_id."""
        return [self._clients[name] for name in sorted(self._clients)]

    def principals(self) -> Iterable[Principal]:
        """Return every principal, deactivated ones too, by subject."""
        return [self._principals[name] for name in sorted(self._principals)]

    def initial_accesses(self) -> Iterable[InitialAccess]:
        """Return every leave to register clients, ended ones too, oldest first."""
        return list(self._initial_accesses.values())

    def key(self, kid: str) -> SigningKey | None:
        """Return the signing key, retired and revoked ones too, or None.

        Raises StreamUnreadable where it cannot be told whether the key was revoked.
        """
        if self._unreadable and SigningKey.stream(kid) in self._unreadable:
            raise StreamUnreadable(f"the signing key {kid} cannot be read")
        return self._keys.get(kid)

    def keys(self) -> Iterable[SigningKey]:
        """Return every signing key that is known, retired and revoked ones too, oldest first."""
        return list(self._keys.values())

    def unreadable(self) -> Sequence[UnreadableStream]:
        """Return the streams that are left out because an event of theirs cannot be decoded."""
        return list(self._unreadable.values())

    @property
    def age(self) -> float:
        """Seconds since the log was last read."""
        return monotonic() - self._read_at

    def require_fresh(self) -> None:
        """Raise LedgerUnavailable where the log could not be read for STALE_SECONDS."""
        if self.age > STALE_SECONDS:
            raise LedgerUnavailable(f"the directory is {self.age:.0f} s old")

    async def refresh(self) -> None:
        """Read what is new in the log. Raises LedgerUnavailable."""
        async with self._refreshing:
            began = monotonic()
            keys_before = self._state_of_keys()
            try:
                await self._read_on()
            finally:
                # However far it came: what was applied is not seen again by the next refresh.
                if keys_before != self._state_of_keys():
                    self.on_keys()
            self._read_at = began

    async def _read_on(self) -> None:
        while True:
            try:
                rows = await self._link.fetch(_TAIL, (int8(self.position), int8(_PAGE)))
            except (psycopg.Error, TimeoutError) as error:
                raise LedgerUnavailable("the directory cannot be read") from error
            # The row without a stream says how far it is; PostgreSQL may put it anywhere.
            found = [row for row in rows if row[0] is not None]
            head = next(row[4] for row in rows if row[0] is None)
            for row in found:
                position = read_int(row[4])
                self._follow(stored_event(row), position)
                self.position = position
            if len(found) < _PAGE:
                if head is not None:
                    self.position = max(self.position, read_int(head))
                return

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
