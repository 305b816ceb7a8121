"""The table `wrapped_keys`: private signing keys, wrapped, outside the log."""

from collections.abc import Collection

import psycopg

from application.ledger.errors import LedgerUnavailable
from application.ledger.link import Link
from application.secret_keys import WrappedKey

_PUT = (
    "INSERT INTO grantledger.wrapped_keys (kid, master_key_id, nonce, ciphertext)"
    " VALUES (%b, %b, %b, %b) RETURNING kid"
)
_GET = (
    "SELECT kid, master_key_id, nonce, ciphertext FROM grantledger.wrapped_keys"
    " WHERE kid = ANY(%b::text[])"
)


class WrappedKeys:
    """Implements the KeyStore port."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def put(self, wrapped: WrappedKey) -> None:
        """Keep a wrapped key. Raises LedgerUnavailable."""
        row = (wrapped.kid, wrapped.master_key_id, wrapped.nonce, wrapped.ciphertext)
        try:
            await self._link.fetch(_PUT, row)
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("a key could not be stored") from error

    async def get(self, kids: Collection[str]) -> list[WrappedKey]:
        """Return the wrapped keys of `kids`, those that there are. Raises LedgerUnavailable."""
        try:
            rows = await self._link.fetch(_GET, (list(kids),))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("the keys could not be read") from error
        return [WrappedKey(*row) for row in rows]

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()
