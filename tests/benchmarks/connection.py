"""A small HTTP client whose connections can be cut at any moment: what a fault looks like."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; the names of `headers` are in small letters, `body` is JSON, or empty."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


class Cut(Exception):
    """The connection ended before the answer did."""


class Connection:
    """One connection at a time to `url`, opened anew after it was cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, form: dict[str, str]) -> Answer:
        """Send a form and return status and JSON. Raises Cut."""
        response = await self.ask(path, form)
        return response.status, response.body

    async def ask(self, path: str, form: dict[str, str]) -> Response:
        """Send a form and return the whole answer. Raises Cut."""
        try:
            reader = await self._send(path, form)
            return await _response(reader)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.close()
            raise Cut from None

    async def post_and_lose(self, path: str, form: dict[str, str]) -> None:
        """Send a form, and let the answer get lost on its way: the connection ends with its first
        bytes.
        """
        with suppress(OSError, asyncio.IncompleteReadError):
            reader = await self._send(path, form)
            await reader.readexactly(1)
        self.close()

    async def post_and_leave(self, path: str, form: dict[str, str], *, after: float) -> None:
        """Send a form and hang up `after` seconds, whatever the service makes of it."""
        with suppress(OSError):
            await self._send(path, form)
            await asyncio.sleep(after)
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _send(self, path: str, form: dict[str, str]) -> asyncio.StreamReader:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        body = urlencode(form)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()
        return reader


async def _response(reader: asyncio.StreamReader) -> Response:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers["content-length"]))
    return Response(int(first.split(" ")[1]), headers, json.loads(body) if body else {})
