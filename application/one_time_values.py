"""The table `one_time_values`: what a request leaves for the next one, for minutes.

Whoever takes a value removes it in the same statement: of two who come at once, one gets it.
"""

from datetime import datetime

from application.side_tables import SideTables

_PUT = """
INSERT INTO grantledger.one_time_values (kind, key, content, expires_at)
VALUES (%(kind)s, %(key)s, %(content)s, %(expires_at)s)
ON CONFLICT (kind, key) DO UPDATE SET content = excluded.content, expires_at = excluded.expires_at
WHERE one_time_values.expires_at <= %(now)s::timestamptz RETURNING true"""
_REPLACE = """
INSERT INTO grantledger.one_time_values (kind, key, content, expires_at)
VALUES (%(kind)s, %(key)s, %(content)s, %(expires_at)s)
ON CONFLICT (kind, key) DO UPDATE
SET content = excluded.content, expires_at = excluded.expires_at"""
_TAKE = """
DELETE FROM grantledger.one_time_values
WHERE kind = %(kind)s AND key = %(key)s RETURNING content, expires_at"""
_READ = """
SELECT content, expires_at FROM grantledger.one_time_values
WHERE kind = %(kind)s AND key = %(key)s"""
_SWEEP = "DELETE FROM grantledger.one_time_values WHERE expires_at < %(now)s"


class OneTimeValues:
    """Values by kind and key, each with its end (aware, UTC)."""

    def __init__(self, tables: SideTables) -> None:
        self._tables = tables

    async def put(
        self,
        kind: str,
        key: bytes,
        content: bytes,
        *,
        expires_at: datetime,
        now: datetime | None = None,
    ) -> bool:
        """Leave `content`; False where the key is taken already. Raises LedgerUnavailable.

        With `now`, a value that has ended does not take its key.
        """
        given = {"kind": kind, "key": key, "content": content, "expires_at": expires_at}
        return bool(await self._tables.ask(_PUT, {**given, "now": now}))

    async def replace(self, kind: str, key: bytes, content: bytes, *, expires_at: datetime) -> None:
        """Leave `content` whether or not the key is taken. Raises as `put`."""
        given = {"kind": kind, "key": key, "content": content, "expires_at": expires_at}
        await self._tables.ask(_REPLACE, given)

    async def take(self, kind: str, key: bytes, *, now: datetime) -> bytes | None:
        """Return and remove a value; None where there is none (any more). Raises as `put`."""
        return _living(await self._tables.ask(_TAKE, {"kind": kind, "key": key}), now)

    async def read(self, kind: str, key: bytes, *, now: datetime) -> bytes | None:
        """Return a value and leave it where it is; None where there is none. Raises as `put`."""
        return _living(await self._tables.ask(_READ, {"kind": kind, "key": key}), now)

    async def sweep(self, *, now: datetime) -> None:
        """Remove what has ended. Raises as `put`."""
        await self._tables.ask(_SWEEP, {"now": now})


def _living(rows: object, now: datetime) -> bytes | None:
    for content, expires_at in rows if isinstance(rows, list) else ():
        if now < expires_at:
            return bytes(content)
    return None
