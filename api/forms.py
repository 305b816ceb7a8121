"""Form bodies of OAuth requests: strict about what RFC 6749, Section 3.2 and Appendix B say.

1 POST, 2 the media type, in UTF-8 or unnamed, 3 at most 64 KiB, 4 percent-encoded UTF-8, 5 at most
64 parameters, 6 none repeated ("Request and response parameters MUST NOT be included more than
once") but `resource` and `audience` (RFC 8707, Section 2; RFC 8693, Section 2.1), 7 none empty:
`scope=` read as "no scope" would mean all of them.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from litestar.types import Receive

from application.errors import InvalidRequest, PayloadTooLarge

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10
_TOO_SLOW = "body too slow"
_MAX_PARAMETERS = 64
_UTF_8 = (b"utf-8", b"utf8")
_MEDIA_TYPE = b"application/x-www-form-urlencoded"
_REPEATABLE = frozenset({"resource", "audience"})
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")


class Form:
    """The parameters of one request; each name has one value but the repeatable ones."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, tuple[str, ...]]) -> None:
        self._values = values

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, None where it was not sent."""
        values = self._values.get(name)
        return values[0] if values else None

    def require(self, name: str) -> str:
        """Return the value of a parameter. Raises InvalidRequest where it was not sent."""
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is required")
        return value

    def all(self, *names: str) -> tuple[str, ...]:
        """Return all values of the repeatable parameters `names`."""
        return tuple(value for name in names for value in self._values.get(name, ()))

    def items(self) -> Iterator[tuple[str, str]]:
        """Return each parameter with its value; of a repeatable one each value."""
        return ((name, value) for name, values in self._values.items() for value in values)

    def single(self) -> Mapping[str, str]:
        """Return the parameters that are not repeatable, by name."""
        return {name: values[0] for name, values in self._values.items() if name not in _REPEATABLE}

    def __repr__(self) -> str:
        return f"Form({', '.join(sorted(self._values))})"


def parse_form(body: bytes, *, of_a_page: bool = False) -> Form:
    """Return the parameters of a form body. Raises InvalidRequest.

    `of_a_page`: a browser sends the fields that a person left empty; they count as not sent.
    """
    if b"%" in body and _BROKEN_ESCAPE.search(body):  # 4
        raise InvalidRequest("the body is not percent-encoded correctly")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not percent-encoded UTF-8") from None
    except ValueError:
        raise InvalidRequest(f"more than {_MAX_PARAMETERS} parameters") from None  # 5
    values: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in values and name not in _REPEATABLE:  # 6
            raise InvalidRequest(f"{_shown(name)} is repeated", reason="repeated parameter")
        if not value and of_a_page:
            continue
        if not value:  # 7
            raise InvalidRequest(f"{_shown(name)} is empty", reason="empty parameter")
        values[name] = (*values.get(name, ()), value)
    return Form(values)


def require_form_type(content_type: bytes) -> None:
    """Raise InvalidRequest unless `content_type` is a form in UTF-8 (or names no charset)."""
    media_type, _, parameters = content_type.partition(b";")
    if media_type.strip().lower() != _MEDIA_TYPE:
        raise InvalidRequest("the body must be application/x-www-form-urlencoded")
    for parameter in parameters.split(b";") if parameters else ():
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset" and value.strip(b' "').lower() not in _UTF_8:
            raise InvalidRequest("the body must be in UTF-8")


async def read_body(receive: Receive, *, announced: bytes) -> bytes:
    """Return the whole body. `announced` is the Content-Length header where it is in force, or
    empty (RFC 9112, Section 6.3).

    Raises PayloadTooLarge past MAX_BODY_BYTES, InvalidRequest past BODY_SECONDS.
    """
    length = _announced_length(announced)
    waiting = asyncio.get_running_loop().call_later(BODY_SECONDS, _give_up, asyncio.current_task())
    try:
        return await _collect(receive, length)
    except asyncio.CancelledError as cancelled:
        if _TOO_SLOW not in cancelled.args:
            raise
        raise InvalidRequest("the body did not arrive in time") from None
    finally:
        waiting.cancel()


def _give_up(task: asyncio.Task[object] | None) -> None:
    # asyncio.timeout() does the same at three times the cost, on every request.
    if task is not None:
        task.cancel(_TOO_SLOW)


def _announced_length(announced: bytes) -> int | None:
    if not announced.isdigit():
        return None
    # Ten digits at most are made a number: Python refuses to read thousands of them.
    if len(announced) > 10 or int(announced) > MAX_BODY_BYTES:
        raise PayloadTooLarge("the body is larger than 64 KiB")
    return int(announced)


async def _collect(receive: Receive, length: int | None) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InvalidRequest("the request was cut off")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge("the body is larger than 64 KiB")
        # All that was announced is there: asking whether more comes would be a hop between the
        # server's thread and ours for an empty answer, on every request.
        if not message.get("more_body", False) or len(body) == length:
            return body


def _shown(name: str) -> str:
    return name if _PARAMETER_NAME.fullmatch(name) else "a parameter"
