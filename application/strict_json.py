"""JSON that others wrote, read so that it says one thing and can be kept.

It is UTF-8 (RFC 8259, Section 8.1: what we guess an encoding of, the next reader may read as
something else), names are unique (two readers could believe different ones), characters whole (RFC
8259, Section 8.2: half of one can be written nowhere), numbers finite.
"""

import json
from math import isfinite
from typing import Any, NoReturn


class DuplicateName(ValueError):
    """An object has a name twice."""


def read_json(text: bytes) -> Any:
    """Return what `text` says. Raises ValueError, of which DuplicateName is a kind."""
    try:
        found = json.loads(
            text.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
        if b"\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateName("a name twice")
    return found


def _finite(number: str) -> float:
    found = float(number)
    if not isfinite(found):
        raise ValueError("a number beyond all bounds")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
