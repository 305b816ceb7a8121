"""The way from the service to PostgreSQL: a proxy that breaks as networks do."""

import asyncio
from contextlib import suppress

from tests.postgres_proxy import PostgresProxy

_CHUNK = 65_536
_APPEND = b"append"
"""The name of the prepared statement that records, in each message that executes it."""


class Network(PostgresProxy):
    """Forwards to the Unix socket of `database_url`, as long as it is whole."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._whole = asyncio.Event()
        self._whole.set()
        self._commits_to_cut = 0
        self.cuts = 0

    def cut_a_commit(self) -> None:
        """Reset the connection at the next commit: the server gets it, its answer is lost."""
        self._commits_to_cut += 1

    def partition(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told."""
        self._whole.clear()

    def heal(self) -> None:
        """Reset what hangs, and let new connections through."""
        self._whole.set()
        for writer in self._opened:
            writer.transport.abort()

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            server, requests = await self._reach_server()
            directions = [
                asyncio.create_task(self._forward(client, requests, answers)),
                asyncio.create_task(self._forward(server, answers, None)),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
                requests.close()
        except OSError:  # PostgreSQL does not listen
            pass
        finally:
            answers.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter | None,
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
                if client is not None and self._commits_to_cut and _APPEND in chunk:
                    self._commits_to_cut -= 1
                    self.cuts += 1
                    client.transport.abort()
                    return
