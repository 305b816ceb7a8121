"""The moment and the dice of a running service; tests pass their own."""

import os
from datetime import UTC, datetime
from uuid import UUID

from domain.ids import uuid7


class SystemClock:
    """The clock of the machine, UTC."""

    def now(self) -> datetime:
        """Return the present moment, aware and UTC."""
        return datetime.now(UTC)


class RandomIds:
    """Ids from the operating system's randomness, fetched in blocks.

    A system call an id costs more than the id: it also lets go of the interpreter lock, and under
    load another thread takes it.
    """

    _BLOCK = 4096

    def __init__(self) -> None:
        self._block = b""
        self._used = 0
        self._process = 0

    def stream_id(self, now: datetime) -> UUID:
        """Return a fresh UUIDv7 for the moment `now`."""
        return uuid7(now, self._bytes(10))

    def session_id(self) -> str:
        """Return a fresh session name, `sess_` and 32 hexadecimal digits."""
        return f"sess_{self._bytes(16).hex()}"

    def request_id(self) -> str:
        """Return a fresh request name, `req_` and 24 hexadecimal digits."""
        return f"req_{self._bytes(12).hex()}"

    def _bytes(self, count: int) -> bytes:
        begin = self._used
        if begin + count > len(self._block) or self._process != os.getpid():
            # A fork must not repeat the ids of its parent.
            self._block, begin, self._process = os.urandom(self._BLOCK), 0, os.getpid()
        self._used = begin + count
        return self._block[begin : self._used]
