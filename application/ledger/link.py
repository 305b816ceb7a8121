"""One connection to PostgreSQL that comes back by itself.

Every waiter has a deadline, so that a database that hangs looks like one that is gone.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, Error

from application.ledger.errors import LedgerUnavailable

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5.0

_SESSION = (
    # Off is never acceptable: a token may be handed out only once its event is durable. A stricter
    # setting of the operator (remote_apply) stays.
    (
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    ),
    f"SET statement_timeout = '{int(ANSWER_SECONDS)}s'",
    "SET idle_in_transaction_session_timeout = '10s'",
)

_log = logging.getLogger(__name__)

Row = tuple[Any, ...]


class Link:
    """A lazily opened autocommit connection. Used by one task at a time."""

    def __init__(self, database_url: str, *, name: str, on_connect: Sequence[str] = ()) -> None:
        self._database_url = database_url
        self._name = name
        self._on_connect = (*_SESSION, *on_connect)
        self._connection: AsyncConnection[Row] | None = None

    @property
    def up(self) -> bool:
        """Whether the last use found PostgreSQL answering."""
        return self._connection is not None and not self._connection.closed

    async def fetch(self, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one prepared statement in its own transaction and return its rows.

        Raises LedgerUnavailable when no connection can be had (nothing was sent), the psycopg
        error when the statement failed or its answer was lost; `up` tells which of the two.
        """
        connection = await self.connected()
        try:
            async with asyncio.timeout(ANSWER_SECONDS + 1):
                cursor = await connection.execute(query, parameters, prepare=True, binary=True)
                rows: list[Row] = await cursor.fetchall()
                return rows
        except BaseException as error:
            if connection.closed or not isinstance(error, Error):
                await self.drop()
            raise

    async def connected(self) -> AsyncConnection[Row]:
        """Return the open connection. Raises LedgerUnavailable when there is none to be had."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await AsyncConnection.connect(
                    self._database_url,
                    autocommit=True,
                    prepare_threshold=0,
                    application_name=f"grantledger {self._name}",
                    connect_timeout=CONNECT_SECONDS,
                )
                for statement in self._on_connect:
                    await connection.execute(statement)
        except (Error, OSError, TimeoutError) as error:
            raise LedgerUnavailable(f"no connection to PostgreSQL ({self._name})") from error
        self._connection = connection
        _log.info("connected to PostgreSQL (%s)", self._name)
        return connection

    async def drop(self) -> None:
        """Close what is open; the next use connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
