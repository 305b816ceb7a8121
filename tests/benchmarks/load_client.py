"""The bundled load client: reads an order as JSON from standard input, writes what it measured.

One process and one thread; every connection sends its next request when it has its answer, until
the time is up or its share of the requests is done.
"""

import asyncio
import json
import math
import re
import statistics
import sys
from functools import partial
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

_SUCCESSOR = re.compile(rb'"refresh_token":"([^"]+)"')


class _Request:
    """The request as bytes; with a refresh token, or a value of its own, where each uses one."""

    def __init__(self, order: dict[str, Any]) -> None:
        address = urlsplit(order["url"])
        given = order["authorization"]
        credentials = f"Authorization: {given}\r\n" if given else ""
        self._head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n{credentials}"
            "Content-Type: application/x-www-form-urlencoded\r\n"
        )
        self._body = order["body"]
        self._once = iter(order.get("once") or ())
        self._once_name = order.get("once_name") or ""

    def bytes_for(self, token: str | None) -> bytes:
        body = self._body if token is None else f"{self._body}&refresh_token={token}"
        head = self._head
        if (value := next(self._once, None)) is not None:
            if self._once_name == "DPoP":
                head += f"DPoP: {value}\r\n"
            else:
                body += f"&{self._once_name}={value}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class _Connection(asyncio.Protocol):
    def __init__(
        self, request: "_Request", token: str | None, *, ends_at: float, share: float
    ) -> None:
        self._request = request
        self._token = token
        self._ends_at = ends_at
        self._share = share
        self._buffer = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.failures = 0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._buffer = b""
        if self._token is not None and (found := _SUCCESSOR.search(body)):
            self._token = found[1].decode()
        self.latencies.append(perf_counter() - self._sent_at)
        self.failures += not head.startswith(b"HTTP/1.1 200")
        if perf_counter() < self._ends_at and len(self.latencies) < self._share:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failures += exc is not None
        if not self.finished.done():
            self.finished.set_result(None)

    def _send(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(self._request.bytes_for(self._token))


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def _same(connection: _Connection) -> _Connection:
    return connection


def _shares(requests: int | None, connections: int) -> list[float]:
    if requests is None:
        return [math.inf] * connections
    return [requests // connections + (n < requests % connections) for n in range(connections)]


async def _run(order: dict[str, Any]) -> dict[str, float]:
    address = urlsplit(order["url"])
    request = _Request(order)
    loop = asyncio.get_running_loop()
    began = perf_counter()
    ends_at = began + float(order["seconds"])
    shares = _shares(order.get("requests"), order["connections"])
    connections = []
    tokens = order.get("tokens") or [None] * len(shares)
    for share, token in zip(shares, tokens, strict=False):  # there is a spare token
        connection = _Connection(request, token, ends_at=ends_at, share=share)
        await loop.create_connection(partial(_same, connection), address.hostname, address.port)
        connections.append(connection)
    await asyncio.gather(*(connection.finished for connection in connections))
    latencies = sorted(latency for one in connections for latency in one.latencies)
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "seconds": perf_counter() - began,
        "requests": len(latencies),
        "failures": sum(connection.failures for connection in connections),
        "p50": cuts[49] * 1e3,
        "p99": cuts[98] * 1e3,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(_run(json.load(sys.stdin)))))
