"""A server on the loopback interface that gives one fixed answer, byte for byte, to everybody."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class RawHttp:
    """Where it listens, what it was asked and by which names (TLS)."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Address and port, as a configuration names them."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """A URL on it."""
        return f"http://{self.host}/path"


def answer(body: bytes, *, status: str = "200 OK", **headers: str) -> bytes:
    """Return an HTTP answer with its length."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


@asynccontextmanager
async def raw_http(
    response: bytes, *, hangs: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawHttp]:
    """Serve `response`; `hangs` keeps the connection open behind it."""
    closing = asyncio.Event()
    served = RawHttp(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            served.requests.append(await _request(reader))
            writer.write(response)
            await writer.drain()
            if hangs:
                await closing.wait()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    if tls is not None:

        def note(_socket: object, name: str | None, _context: object) -> None:
            served.names.append(name)

        tls.sni_callback = note
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    async with server:
        yield served
        closing.set()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)
