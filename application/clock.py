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
    """Ids from the operating system's randomness."""

    def stream_id(self, now: datetime) -> UUID:
        """Return a fresh UUIDv7 for the moment `now`."""
        return uuid7(now, os.urandom(10))

    def session_id(self) -> str:
        """Return a fresh session name, `sess_` and 32 hexadecimal digits."""
        return f"sess_{os.urandom(16).hex()}"

    def request_id(self) -> str:
        """Return a fresh request name, `req_` and 24 hexadecimal digits."""
        return f"req_{os.urandom(12).hex()}"
