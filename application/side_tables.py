"""The tables beside the log: what must be able to go again, or lives for minutes only.

Credentials of people, pushed requests, challenges. Nothing here decides what was issued; with
PostgreSQL away, it answers as the log does.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import ProgramLimitExceeded
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from application.connection_pool import connection_pool
from application.errors import Unrecordable
from application.ledger.errors import LedgerUnavailable
from application.ledger.log_epoch import LogEpoch

_CONNECTIONS = 4
_WAIT_SECONDS = 3.0
_STATEMENT_SECONDS = 5.0


class SideTables:
    """A small pool of connections, opened on first use."""

    def __init__(
        self,
        database_url: str,
        *,
        name: str = "side tables",
        connections: int = _CONNECTIONS,
        wait_seconds: float = _WAIT_SECONDS,
        epoch: LogEpoch | None = None,
    ) -> None:
        self._pool = connection_pool(
            database_url,
            name=name,
            connections=connections,
            wait_seconds=wait_seconds,
            statement_seconds=_STATEMENT_SECONDS,
            epoch=epoch,
        )

    async def ask(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[TupleRow]:
        """Run one statement in its own transaction and return its rows (none without RETURNING).

        `statement` is a literal string or composed SQL. Raises LedgerUnavailable, and Unrecordable
        for a parameter that PostgreSQL cannot hold; integrity errors of psycopg pass through.
        """
        async with self.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else ()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """Lend a connection in autocommit mode. Raises as `ask` does."""
        try:
            await self._pool.open()
            async with self._pool.connection() as connection:
                yield connection
        except psycopg.IntegrityError:
            raise
        except (psycopg.DataError, ProgramLimitExceeded, UnicodeEncodeError):
            raise Unrecordable("the text of the request") from None
        except (psycopg.Error, PoolTimeout, OSError) as error:
            raise LedgerUnavailable("the side tables cannot be reached") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
