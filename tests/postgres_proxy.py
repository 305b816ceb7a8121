"""What proxies before PostgreSQL share: a TCP port of their own, and the way to the Unix socket."""

import asyncio
from abc import ABC, abstractmethod
from typing import Self
from urllib.parse import parse_qs, urlsplit


class PostgresProxy(ABC):
    """Listens while its context lasts; a subclass carries what arrives on each connection."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._database = parts.path
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._opened:
            writer.transport.abort()
        # The loop may end with the block: what is not closed by then never is.
        await asyncio.gather(
            *(writer.wait_closed() for writer in self._opened), return_exceptions=True
        )

    @property
    def url(self) -> str:
        """The database's URL through the proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return (
            f"postgresql://postgres@127.0.0.1:{port}{self._database}"
            "?sslmode=disable&gssencmode=disable"
        )

    async def _reach_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        self._opened.append(writer)
        return reader, writer

    def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self._opened.append(answers)
        task = asyncio.create_task(self._serve(client, answers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @abstractmethod
    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends."""
