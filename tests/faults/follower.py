"""Somebody outside who follows the log by position, and must never find that something was skipped
behind its back (design: positions become visible in their order).
"""

import asyncio
from contextlib import suppress

import psycopg

_PACE_SECONDS = 0.02
_READ = (
    "SELECT notification_id FROM grantledger.ledger_events WHERE notification_id > %s"
    " ORDER BY notification_id"
)


class Follower:
    """Reads on from the last position it saw, again and again; `positions` is what it saw."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._task: asyncio.Task[None] | None = None
        self.positions: list[int] = []

    async def __aenter__(self) -> "Follower":
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def read_on(self) -> None:
        """Read what there is by now. Raises psycopg.OperationalError."""
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await self._read(connection)

    async def _follow(self) -> None:
        while True:
            with suppress(psycopg.Error):
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5
                ) as connection:
                    while True:
                        await self._read(connection)
                        await asyncio.sleep(_PACE_SECONDS)
            await asyncio.sleep(_PACE_SECONDS)

    async def _read(self, connection: psycopg.AsyncConnection) -> None:
        last = self.positions[-1] if self.positions else 0
        rows = await (await connection.execute(_READ, (last,))).fetchall()
        # Another reading may have gone on meanwhile.
        last = self.positions[-1] if self.positions else 0
        self.positions.extend(position for (position,) in rows if position > last)
