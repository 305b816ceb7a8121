"""The table `rate_limit_windows`: windows of rate limits that all replicas count in.

One statement a hit; of two that come at once both are counted. The table is not logged by
PostgreSQL: losing it in a crash only lets everybody begin anew.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from limits.aio.storage import Storage

from application.ledger.errors import LedgerUnavailable
from application.ports import Clock
from application.settings import Settings
from application.side_tables import SideTables
from application.windows_in_memory import STEP_SECONDS

_CONNECTIONS = 2
_WAIT_SECONDS = 1.0

_HIT = """
INSERT INTO grantledger.rate_limit_windows AS known (key, hits, ends_at)
VALUES (%(key)s, %(amount)s, %(ends_at)s)
ON CONFLICT (key) DO UPDATE SET
hits = CASE WHEN {ended} THEN excluded.hits ELSE known.hits + excluded.hits END,
ends_at = CASE WHEN {ended} THEN excluded.ends_at ELSE known.ends_at END
RETURNING hits""".format(
    # As in application.windows_in_memory: one of the future was opened by another clock.
    ended="(known.ends_at <= %(now)s OR known.ends_at > excluded.ends_at"
    f" + interval '{STEP_SECONDS} s')"
)
_READ = """
SELECT hits, ends_at FROM grantledger.rate_limit_windows
WHERE key = %(key)s AND ends_at > %(now)s"""
_FORGET = "DELETE FROM grantledger.rate_limit_windows WHERE key = %(key)s"
_FORGET_ALL = "DELETE FROM grantledger.rate_limit_windows RETURNING true"
_SWEEP = "DELETE FROM grantledger.rate_limit_windows WHERE ends_at <= %(now)s"


class PostgresWindows(Storage):
    """Fixed windows, as application.windows_in_memory has them. All raise LedgerUnavailable."""

    STORAGE_SCHEME = None

    def __init__(self, tables: SideTables, clock: Clock) -> None:
        super().__init__()
        self._tables = tables
        self._clock = clock

    @property
    def base_exceptions(self) -> type[Exception]:
        """What is raised where PostgreSQL is away."""
        return LedgerUnavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` hits and return how many the window has."""
        now = self._clock.now()
        ends_at = now + timedelta(seconds=expiry)
        given = {"key": _name(key), "amount": amount, "now": now, "ends_at": ends_at}
        ((hits,),) = await self._tables.ask(_HIT, given)
        return int(hits)

    async def get(self, key: str) -> int:
        """Return the hits of a window, 0 where there is none."""
        return (await self._read(key))[0]

    async def get_expiry(self, key: str) -> float:
        """Return when a window ends, in seconds since 1970; now where there is none."""
        return (await self._read(key))[1].timestamp()

    async def check(self) -> bool:
        """Tell whether hits can be counted."""
        try:
            await self._read("")
        except LedgerUnavailable:
            return False
        return True

    async def reset(self) -> int:
        """Forget every window and return how many there were."""
        return len(await self._tables.ask(_FORGET_ALL, {}))

    async def clear(self, key: str) -> None:
        """Forget one window."""
        await self._tables.ask(_FORGET, {"key": _name(key)})

    async def sweep(self) -> None:
        """Remove the windows that have ended."""
        await self._tables.ask(_SWEEP, {"now": self._clock.now()})

    async def close(self) -> None:
        """Close the connections."""
        await self._tables.close()

    async def _read(self, key: str) -> tuple[int, datetime]:
        now = self._clock.now()
        rows = await self._tables.ask(_READ, {"key": _name(key), "now": now})
        for hits, ends_at in rows:
            return int(hits), ends_at.astimezone(UTC)
        return 0, now


def postgres_windows(settings: Settings, database_url: str, clock: Clock) -> PostgresWindows | None:
    """Return the windows in PostgreSQL, None where the settings want none."""
    if settings.rate_limit_storage != "postgresql":
        return None
    # Connections of their own, and not for long: a flood that is being counted must not keep the
    # requests of others from the other tables.
    tables = SideTables(
        database_url, name="rate limits", connections=_CONNECTIONS, wait_seconds=_WAIT_SECONDS
    )
    return PostgresWindows(tables, clock)


def _name(key: str) -> bytes:
    # As long for every client and address; addresses are MACs before they come here.
    return sha256(key.encode()).digest()
