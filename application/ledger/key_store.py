"""The table `wrapped_keys`: private signing keys, wrapped, outside the log."""

import asyncio
from collections.abc import Collection, Sequence

import psycopg

from application.ledger.errors import LedgerUnavailable
from application.ledger.link import Link
from application.ledger.pg_binary import text_array
from application.ledger.wire import Row, Statement
from application.secret_keys import WrappedKey

_PUT = Statement(
    "put_key",
    "INSERT INTO grantledger.wrapped_keys (kid, master_key_id, nonce, ciphertext)"
    " VALUES ($1::text, $2::text, $3::bytea, $4::bytea)",
)
_GET = Statement(
    "get_keys",
    "SELECT kid, master_key_id, nonce, ciphertext FROM grantledger.wrapped_keys"
    " WHERE kid = ANY($1::text[])",
)
_REPLACE = Statement(
    "replace_key",
    "UPDATE grantledger.wrapped_keys SET master_key_id = $2::text, nonce = $3::bytea,"
    " ciphertext = $4::bytea WHERE kid = $1::text AND ciphertext = $5::bytea RETURNING kid",
)


class WrappedKeys:
    """Implements the KeyStore port."""

    def __init__(self, link: Link) -> None:
        self._link = link
        # A link serves one task at a time; here both the rotation and the follower of keys ask.
        self._turn = asyncio.Lock()

    async def put(self, wrapped: WrappedKey) -> None:
        """Keep a wrapped key. Raises LedgerUnavailable."""
        names = (wrapped.kid.encode(), wrapped.master_key_id.encode())
        try:
            await self._fetch(_PUT, (*names, wrapped.nonce, wrapped.ciphertext))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("a key could not be stored") from error

    async def get(self, kids: Collection[str]) -> list[WrappedKey]:
        """Return the wrapped keys of `kids`, those that there are. Raises LedgerUnavailable."""
        try:
            rows = await self._fetch(_GET, (text_array(list(kids)),))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("the keys could not be read") from error
        return [_wrapped(row) for row in rows]

    async def replace(self, old: WrappedKey, new: WrappedKey) -> bool:
        """Keep `new` in the place of `old`; False where `old` is no longer what is kept.

        Raises LedgerUnavailable.
        """
        names = (new.kid.encode(), new.master_key_id.encode())
        try:
            done = await self._fetch(_REPLACE, (*names, new.nonce, new.ciphertext, old.ciphertext))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("a key could not be stored") from error
        return bool(done)

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()

    async def _fetch(self, statement: Statement, parameters: Sequence[bytes]) -> Sequence[Row]:
        async with self._turn:
            return await self._link.fetch(statement, parameters)


def _wrapped(row: Row) -> WrappedKey:
    kid, master_key_id, nonce, ciphertext = (value or b"" for value in row)
    return WrappedKey(kid.decode(), master_key_id.decode(), nonce, ciphertext)
