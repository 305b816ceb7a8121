"""The way from the service to PostgreSQL: a proxy that breaks as networks do."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

_CHUNK = 65_536
_APPEND = b"append"
"""The name of the prepared statement that records, in each message that executes it."""


class Network:
    """Listens on a TCP port of its own and forwards to the Unix socket of `database_url`."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._database = parts.path
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._whole = asyncio.Event()
        self._whole.set()
        self._commits_to_cut = 0
        self.cuts = 0

    async def __aenter__(self) -> "Network":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The database's URL through here."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return (
            f"postgresql://postgres@127.0.0.1:{port}{self._database}"
            "?sslmode=disable&gssencmode=disable"
        )

    def cut_a_commit(self) -> None:
        """Reset the connection at the next commit: the server gets it, its answer is lost."""
        self._commits_to_cut += 1

    def partition(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told."""
        self._whole.clear()

    def heal(self) -> None:
        """Reset what hangs, and let new connections through."""
        self._whole.set()
        for writer in list(self._writers):
            writer.transport.abort()

    def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(client, answers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self._writers.add(answers)
        try:
            await self._whole.wait()
            server, requests = await asyncio.open_unix_connection(self._socket)
            self._writers.add(requests)
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
                self._writers.discard(requests)
        except OSError:  # PostgreSQL does not listen
            pass
        finally:
            answers.close()
            self._writers.discard(answers)

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
