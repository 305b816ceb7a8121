"""A proxy before PostgreSQL that cuts a connection at a chosen message.

It knows only the frame of the protocol (PostgreSQL documentation, "Message Formats"): a first
message of length and body, then messages of type, length and body in both directions.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto

from tests.postgres_proxy import PostgresProxy

_READY = b"Z"
_BIND = b"B"
_SYNC = b"S"
_READY_IDLE = b"Z\x00\x00\x00\x05I"


class Cut(Enum):
    """When the connection is cut, seen from the message that carries the mark."""

    BEFORE = auto()
    """The server never gets it."""
    ANSWERED = auto()
    """The server has done it and is idle again; its answer is dropped."""
    LATE = auto()
    """The client is cut off at once; the server gets it just before the client's next attempt."""


class CuttingProxy(PostgresProxy):
    """Forwards to the Unix socket of `database_url`, and cuts as it was told."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._plan: tuple[bytes, Cut] | None = None
        self._meanwhile: Callable[[], object] = lambda: None
        self._late: _Late | None = None
        self.cuts = 0
        self.statements = 0

    def cut(
        self, *, mark: bytes, when: Cut, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """Cut once, at the next message that contains `mark`; run `meanwhile` just before."""
        self._plan = (mark, when)
        self._meanwhile = meanwhile

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, requests = await self._reach_server()
        link = _Link(client, answers, server, requests)
        try:
            requests.write(await _first_message(client))
            await _first_to_end(self._to_server(link), self._to_client(link))
        except asyncio.IncompleteReadError:
            pass
        finally:
            answers.close()
            if self._late is None or self._late.link is not link:
                requests.close()

    async def _to_server(self, link: "_Link") -> None:
        while True:
            message = await _message(link.client)
            self.statements += message[:1] == _BIND
            if self._late is not None and self._late.mark in message:
                await self._late.deliver()
                self._late = None
            if self._plan is not None and self._plan[0] in message:
                mark, when = self._plan
                self._plan = None
                self._meanwhile()
                if when is Cut.LATE:
                    self._late = await _held(mark, link, message)
                if when is not Cut.ANSWERED:
                    self.cuts += 1
                    return
                link.answer_is_dropped = True
            link.requests.write(message)

    async def _to_client(self, link: "_Link") -> None:
        while True:
            message = await _message(link.server)
            if not link.answer_is_dropped:
                link.answers.write(message)
            elif message[:1] == _READY:
                assert message == _READY_IDLE
                self.cuts += 1
                return


class _Link:
    def __init__(
        self,
        client: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
    ) -> None:
        self.client = client
        self.answers = answers
        self.server = server
        self.requests = requests
        self.answer_is_dropped = False


class _Late:
    """A statement that was held back with its connection to the server."""

    def __init__(self, mark: bytes, link: _Link, messages: bytes) -> None:
        self.mark = mark
        self.link = link
        self._messages = messages

    async def deliver(self) -> None:
        """Let the server do the statement, then close its connection."""
        self.link.requests.write(self._messages)
        while (await _message(self.link.server))[:1] != _READY:
            pass
        self.link.requests.close()


async def _held(mark: bytes, link: _Link, first: bytes) -> _Late:
    messages = first
    while True:
        message = await _message(link.client)
        messages += message
        if message[:1] == _SYNC:
            return _Late(mark, link, messages)


async def _first_message(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "big") - 4)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


async def _first_to_end(*directions: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            await task
