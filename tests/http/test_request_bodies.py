"""How long a request's body is, and who says so (RFC 9112, Section 6.3)."""

import base64
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from api.forms import read_body
from api.request_reading import read_headers
from tests.http.live import TOKEN, Live

_BODY = b"grant_type=client_credentials"


def _receiving(*messages: dict[str, Any]) -> tuple[Callable[[], Awaitable[Any]], list[int]]:
    """Return what receives `messages`, and a list as long as it was asked."""
    asked: list[int] = []

    async def receive() -> Any:
        asked.append(1)
        return messages[len(asked) - 1]

    return receive, asked


def _part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_what_was_announced_and_is_there_is_not_asked_for_again() -> None:
    """A server says "more may come" beside a whole body: asking would be a hop for nothing."""
    receive, asked = _receiving(_part(_BODY[:10]), _part(_BODY[10:]), _part(b"", more=False))

    assert await read_body(receive, announced=str(len(_BODY)).encode()) == _BODY
    assert len(asked) == 2


@pytest.mark.parametrize("announced", [b"", b"x", b"3 "])
async def test_without_a_length_the_body_ends_where_the_server_says(announced: bytes) -> None:
    """A chunked body, or one whose length nobody can read, is read to its end."""
    receive, asked = _receiving(_part(_BODY[:3]), _part(_BODY[3:]), _part(b"", more=False))

    assert await read_body(receive, announced=announced) == _BODY
    assert len(asked) == 3


def test_a_length_beside_a_transfer_encoding_is_none() -> None:
    """ "the Transfer-Encoding overrides the Content-Length": else a body could be read by half."""
    length, chunked = (b"content-length", b"3"), (b"transfer-encoding", b"chunked")
    scope: Any = {"headers": [length, chunked]}

    assert read_headers(scope).content_length == b""


def test_a_body_is_read_one_way_only(live: Live) -> None:
    """Both lengths at once, as in an attempt at smuggling: refused, or read as it is chunked."""
    credentials = base64.b64encode(":".join(live.demo).encode()).decode()
    head = (
        f"POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Basic {credentials}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        # As much of the body as this names a grant type that does not exist.
        "Content-Length: 19\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = f"{len(_BODY):x}\r\n".encode() + _BODY + b"\r\n0\r\n\r\n"
    address = urlsplit(str(live.http.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode() + chunk)
        answered = b""
        while received := connection.recv(65536):
            answered += received

    status = answered.split(b" ", 2)[1]
    assert status in (b"200", b"400"), answered
    assert b"unsupported_grant_type" not in answered
    assert (b"access_token" in answered) == (status == b"200")
