"""Questions to the read models from async code: a small pool, away from the hot path."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.ledger.errors import LedgerUnavailable
from projections.lineage import Lineage, lineage_of
from projections.query import Query
from projections.status import ProjectionStatus, projection_status

T = TypeVar("T")
_CONNECTIONS = 4
_WAIT_SECONDS = 3.0
_STATUS_SECONDS = 0.5


class ReadModels:
    """Asks PostgreSQL; opened on first use."""

    def __init__(self, database_url: str) -> None:
        self._pool = AsyncConnectionPool(
            database_url,
            min_size=0,
            max_size=_CONNECTIONS,
            open=False,
            timeout=_WAIT_SECONDS,
            kwargs={"autocommit": True, "application_name": "grantledger read models"},
        )
        self._status: Sequence[ProjectionStatus] = ()
        self._status_at = float("-inf")
        self._asking = asyncio.Lock()

    async def fetch(self, query: Query[T]) -> list[T]:
        """Return the answers to `query`. Raises LedgerUnavailable."""
        try:
            await self._pool.open()
            async with self._pool.connection() as connection:
                return await query.fetch_async(connection)
        except (psycopg.Error, PoolTimeout, OSError) as error:
            raise LedgerUnavailable("the read models cannot be read") from error

    async def lineage(self, jti: UUID, *, now: datetime) -> Lineage | None:
        """Return the tree of tokens that `jti` belongs to. Raises LedgerUnavailable."""
        asking = lineage_of(jti, now=now)
        query = next(asking)
        while True:
            try:
                query = asking.send(await self.fetch(query))
            except StopIteration as done:
                answer: Lineage | None = done.value
                return answer

    async def projection_status(self) -> Sequence[ProjectionStatus]:
        """Return how far the projections are, at most half a second old. Raises LedgerUnavailable.

        Anybody may ask for readiness; the database is asked no more often for that.
        """
        async with self._asking:
            if monotonic() - self._status_at > _STATUS_SECONDS:
                self._status = await self.fetch(projection_status())
                self._status_at = monotonic()
            return self._status

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
