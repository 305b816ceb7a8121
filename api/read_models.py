"""Questions to the read models from async code: a small pool, away from the hot path.

Whatever auditors ask, a question ends after FETCH_SECONDS, and readiness is asked for over a
connection of its own: nobody who reads slowly or widely takes the service away from others.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import QueryCanceled
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.connection_pool import connection_pool
from application.errors import InvalidRequest
from application.ledger.errors import LedgerUnavailable
from projections.alarms import ALARM_SOURCES, Alarm, AlarmSource, standing_async
from projections.lineage import Lineage, lineage_of
from projections.query import Asking, Query
from projections.status import ProjectionStatus, projection_status

T = TypeVar("T")
_Status = tuple[Sequence[ProjectionStatus], Sequence[Alarm]]
_CONNECTIONS = 4
_WAIT_SECONDS = 3.0
FETCH_SECONDS = 30
_STATUS_SECONDS = 0.5
_LONG_AT_ONCE = _CONNECTIONS // 2
_ONE_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


class TookTooLong(Exception):
    """A question takes longer than it may here."""


class ReadModels:
    """Asks PostgreSQL; opened on first use."""

    def __init__(
        self,
        database_url: str,
        *,
        fetch_seconds: float = FETCH_SECONDS,
        alarms: Sequence[AlarmSource] = ALARM_SOURCES,
    ) -> None:
        self.alarm_sources = alarms
        self._pool = _pool(database_url, connections=_CONNECTIONS, seconds=fetch_seconds)
        self._of_status = _pool(database_url, connections=1, seconds=fetch_seconds)
        self._status: _Status | LedgerUnavailable = ((), ())
        self._status_at = float("-inf")
        self._asking = asyncio.Lock()
        # Long answers take turns: the rest of the pool is for short questions.
        self._long = asyncio.Semaphore(_LONG_AT_ONCE)

    async def fetch(self, query: Query[T]) -> list[T]:
        """Return the answers to `query`. Raises InvalidRequest for one that takes too long or has a
        parameter that PostgreSQL cannot hold, LedgerUnavailable.
        """
        try:
            return await _fetched(self._pool, query)
        except QueryCanceled:
            raise InvalidRequest("the question takes too long: narrow it") from None
        except (psycopg.DataError, UnicodeEncodeError):
            raise InvalidRequest("the question holds what no record can hold") from None
        except (psycopg.Error, PoolTimeout, OSError) as error:
            raise LedgerUnavailable("the read models cannot be read") from error

    async def lineage(self, jti: UUID, *, now: datetime) -> Lineage | None:
        """Return the tree of tokens that `jti` belongs to. Raises LedgerUnavailable."""
        return await self.answered(lineage_of(jti, now=now))

    async def answered_at_once(self, asking: Asking[T], *, seconds: float) -> T:
        """Return what `asking` leads to, all of it seen at one moment.

        Raises TookTooLong where its turn does not come within `seconds` or a statement takes longer
        than that, LedgerUnavailable, and what `asking` raises.
        """
        try:
            await asyncio.wait_for(self._long.acquire(), seconds)
        except TimeoutError as error:
            raise TookTooLong from error
        try:
            return await self._in_a_snapshot(asking, seconds)
        except QueryCanceled as error:
            raise TookTooLong from error
        except (psycopg.Error, PoolTimeout, OSError) as error:
            raise LedgerUnavailable("the read models cannot be read") from error
        finally:
            self._long.release()

    async def _in_a_snapshot(self, asking: Asking[T], seconds: float) -> T:
        await self._pool.open()
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_ONE_SNAPSHOT)
            await connection.execute(
                "SELECT set_config('statement_timeout', %s, true)", (f"{seconds}s",)
            )
            return await _answered_on(connection, asking)

    async def answered(self, asking: Asking[T]) -> T:
        """Return what `asking` leads to. Raises LedgerUnavailable, and what `asking` raises."""
        query = next(asking)
        while True:
            try:
                query = asking.send(await self.fetch(query))
            except StopIteration as done:
                answer: T = done.value
                return answer

    async def projection_status(self) -> Sequence[ProjectionStatus]:
        """Return how far behind the projections are, at most half a second old.

        Raises LedgerUnavailable.
        """
        return (await self._recent_status())[0]

    async def alarms(self) -> Sequence[Alarm]:
        """Return the alarms that stand, at most half a second old. Raises LedgerUnavailable."""
        return (await self._recent_status())[1]

    async def _recent_status(self) -> "_Status":
        """Return what readiness tells. Raises LedgerUnavailable.

        Anybody may ask for readiness; the database is asked no more often for that, and who asks
        while it is away does not wait behind all others who do.
        """
        async with self._asking:
            if monotonic() - self._status_at > _STATUS_SECONDS:
                self._status = await self._asked_status()
                self._status_at = monotonic()
            if isinstance(self._status, LedgerUnavailable):
                raise LedgerUnavailable(*self._status.args) from self._status
            return self._status

    async def _asked_status(self) -> "_Status | LedgerUnavailable":
        try:
            behind = await _fetched(self._of_status, projection_status())
            async with self._of_status.connection() as connection:
                standing = [
                    alarm
                    for source in self.alarm_sources
                    for alarm in await standing_async(source, connection)
                ]
            return behind, standing
        except (psycopg.Error, PoolTimeout, OSError):
            return LedgerUnavailable("the read models cannot be read")

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
        await self._of_status.close()


def _pool(database_url: str, *, connections: int, seconds: float) -> AsyncConnectionPool:
    return connection_pool(
        database_url,
        name="read models",
        connections=connections,
        wait_seconds=_WAIT_SECONDS,
        statement_seconds=seconds,
    )


async def _fetched(pool: AsyncConnectionPool, query: Query[T]) -> list[T]:
    await pool.open()
    async with pool.connection() as connection:
        return await query.fetch_async(connection)


async def _answered_on(connection: AsyncConnection[Any], asking: Asking[T]) -> T:
    query = next(asking)
    while True:
        try:
            query = asking.send(await query.fetch_async(connection))
        except StopIteration as done:
            answer: T = done.value
            return answer
