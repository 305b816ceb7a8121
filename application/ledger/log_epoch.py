"""That nothing which a process kept outlives the log that it was read from.

1. One LogEpoch a process. While it is closed nothing is decided, loaded or recorded.
2. It closes where a connection leads to another log or server than the others, where the newest
   event that is known is not at its place, and where the log refuses an append because of either.
   It opens once the directory has looked: what was kept is still true, or all was read anew.
3. Each closing, and each change of the server without a loss, begins another epoch: aggregates that
   were kept go, units that wait are refused, connections are made anew, and a request of before
   cannot record what it decided, however long it takes.
4. The directory's connection leads: others that end up elsewhere are refused until it follows.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection

from application.ledger.errors import LedgerUnavailable
from application.ledger.log_identity import (
    NOWHERE,
    KnownEvent,
    identified,
    known_event,
)
from application.ledger.pg_binary import int8

_BEGAN: ContextVar["tuple[LogEpoch, int] | None"] = ContextVar("began", default=None)

_log = logging.getLogger(__name__)


class LogEpoch:
    """Which log this process follows, and whether what it kept of it holds."""

    def __init__(self) -> None:
        self.number = 0
        self.identity = NOWHERE
        self.known: KnownEvent | None = None
        """The newest event that is known to be in the log."""
        self.seen: KnownEvent | None = None
        """The newest that the directory has seen, with its moment."""
        self.led = False
        """Whether a directory looks after it; without one a connection follows where it leads."""
        self.doubts = ""
        """Why it is closed, empty while it is open."""
        self._leading = NOWHERE
        self._on_change: list[Callable[[], None]] = []

    @property
    def open(self) -> bool:
        """Whether what was kept may be decided upon."""
        return not self.doubts

    def on_change(self, forget: Callable[[], None]) -> None:
        """Call `forget` whenever another epoch begins."""
        self._on_change.append(forget)

    def begin(self) -> None:
        """Note, for the task that calls, that its request or duty begins in this epoch."""
        _BEGAN.set((self, self.number))

    def require(self) -> int:
        """Return the number of the epoch. Raises LedgerUnavailable where it is closed, or began
        after the request that asks.
        """
        if self.doubts:
            raise LedgerUnavailable(self.doubts)
        began = _BEGAN.get()
        if began is not None and began[0] is self and began[1] != self.number:
            raise LedgerUnavailable("the log turned out to be another during the request")
        return self.number

    def doubt(self, reason: str) -> None:
        """Close it until the directory has looked; without one, begin anew at once."""
        if self.doubts:
            return
        if self.led:
            self.doubts = reason
            _log.error("nothing is issued until the log was looked at: %s", reason)
        else:
            _log.warning("the log is read anew: %s", reason)
            self.forget_events()
            self.identity = NOWHERE
        self._change()

    def follow(self) -> None:
        """Take the log that the directory's connection leads to for ours."""
        if self._leading == self.identity or self._leading is NOWHERE:
            return
        if self.identity is not NOWHERE:
            _log.warning("the log is at another server or timeline: %s", self._leading)
            if self.open:
                self._change()
        self.identity = self._leading

    def reopen(self) -> None:
        """Decide again."""
        if self.doubts:
            self.doubts = ""
            _log.warning("the log is followed again: timeline %d", self.identity.timeline)

    def forget_events(self) -> None:
        """Begin with the log anew: nothing is known of it."""
        self.known = self.seen = None

    def saw(self, head: KnownEvent | None) -> None:
        """Note the newest event of the log."""
        if head is not None:
            self.seen = head
            self._know(head)

    def appended(self, position: int, stored: StoredEvent) -> None:
        """Note an event that this process recorded, the last of its batch."""
        self._know(known_event(position, stored))

    def guard(self) -> tuple[bytes, bytes, bytes]:
        """Return what an append is to find: a position, and the identity row and its table."""
        known = self.known.position if self.known is not None else 0
        return int8(known), self.identity.log_id.bytes, int8(self.identity.table)

    async def check(self, connection: AsyncConnection[Any], *, leads: bool) -> None:
        """Look where a fresh connection leads. Raises LedgerUnavailable where not to our log."""
        known = None if leads else self.known
        identity, at_its_place = await identified(connection, known)
        if leads:
            self._leading = identity
        elif self.identity is NOWHERE:
            self.identity = identity
        elif not at_its_place:
            self._refuse("the log at the end of a connection lacks what was recorded")
        elif identity != self.identity:
            self._refuse("a connection leads to another log or server")

    def _refuse(self, reason: str) -> None:
        self.doubt(reason)
        raise LedgerUnavailable(reason)

    def _know(self, event: KnownEvent) -> None:
        if self.known is None or event.position >= self.known.position:
            self.known = event

    def _change(self) -> None:
        self.number += 1
        for forget in self._on_change:
            forget()
