"""The table `wrapped_keys`: private signing keys, wrapped, outside the log."""

from collections.abc import Collection

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


class WrappedKeys:
    """Implements the KeyStore port."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def put(self, wrapped: WrappedKey) -> None:
        """Keep a wrapped key. Raises LedgerUnavailable."""
        names = (wrapped.kid.encode(), wrapped.master_key_id.encode())
        try:
            await self._link.fetch(_PUT, (*names, wrapped.nonce, wrapped.ciphertext))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("a key could not be stored") from error

    async def get(self, kids: Collection[str]) -> list[WrappedKey]:
        """Return the wrapped keys of `kids`, those that there are. Raises LedgerUnavailable."""
        try:
            rows = await self._link.fetch(_GET, (text_array(list(kids)),))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("the keys could not be read") from error
        return [_wrapped(row) for row in rows]

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()


def _wrapped(row: Row) -> WrappedKey:
    kid, master_key_id, nonce, ciphertext = (value or b"" for value in row)
    return WrappedKey(kid.decode(), master_key_id.decode(), nonce, ciphertext)
