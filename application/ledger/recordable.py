"""Refuses what the log or its read models could not hold, for every event and whoever sent it.

An event that no read model can take would stay in the log for good, where no auditor sees it.

1. The state is at most MOST_BYTES long.
2. Every character is one that PostgreSQL holds: no U+0000, and no half of a surrogate pair.
3. A name that a read model is searched by has at most LONGEST_NAME bytes: PostgreSQL takes an entry
   of an index up to 2,704 bytes, and the longest entries hold two of these names.
4. Numbers of free JSON (keys of clients, authorization details) are finite: JSON has no other
   numbers, and the encoder would write `null` in their place.
5. Free JSON is nested at most DEEPEST deep: every reader recurses into it.

Rules 1 and 2 look at the encoded bytes, and rule 3 at long states alone: to issue a token costs two
searches of its bytes.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from math import isfinite
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from application.errors import Unrecordable

MOST_BYTES = 16_000_000
LONGEST_NAME = 1_000
DEEPEST = 64

_NUL = b"\\u0000"
_NAMES = ("client_id", "subject", "session_id", "family_id", "by", "credential_id")


def require_recordable(event_class: type, facts: Mapping[str, Any], state: bytes) -> None:
    """Check the `facts` of an event, whose encoded form is `state`.

    Raises Unrecordable, and UnicodeEncodeError for half of a character.
    """
    if len(state) > MOST_BYTES:  # 1
        raise Unrecordable(f"more than {MOST_BYTES} bytes")
    if _NUL in state:  # 2
        _require_no_nul(facts)
    if len(state) > LONGEST_NAME and any(_too_long(name) for name in _names(facts)):  # 3
        raise Unrecordable(f"a name of more than {LONGEST_NAME} bytes")
    for name in _free_json(event_class):  # 4, 5
        if facts[name]:
            _require_plain(facts[name], DEEPEST)


def _require_no_nul(facts: Mapping[str, Any]) -> None:
    # A backslash before "u0000" is text as well: only the values themselves tell.
    for name, fact in facts.items():
        if any("\0" in text for text in _texts(fact)):
            raise Unrecordable("the character U+0000", where=name)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield str(key)
            yield from _texts(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _texts(one)
    elif value is not None:
        for _, one in _members(value):
            yield from _texts(one)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value object consists of; a number or a moment has nothing."""
    if isinstance(value, BaseModel):
        yield from value
    else:
        for name in getattr(type(value), "__dataclass_fields__", ()):
            yield name, getattr(value, name)


def _names(facts: Mapping[str, Any]) -> Iterator[str | None]:
    for name in _NAMES:
        yield facts.get(name)
    yield from facts.get("scope") or ()
    descent = facts.get("descent")
    if descent is not None:
        for actor in descent.actors:
            yield actor.subject
            yield actor.issuer


def _too_long(name: str | None) -> bool:
    return name is not None and 4 * len(name) > LONGEST_NAME and len(name.encode()) > LONGEST_NAME


def _require_plain(value: Any, deeper: int) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise Unrecordable("a number that is not finite")
    if deeper < 0:
        raise Unrecordable(f"JSON that is nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        for name in value:
            str(name).encode()  # 2: pydantic writes another name for one that is no text
        inner: Any = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    else:
        inner = (one for _, one in _members(value))
    for one in inner:
        _require_plain(one, deeper - 1)


@cache
def _free_json(event_class: type) -> tuple[str, ...]:
    """Return the names of the facts that hold JSON of any form, on the classes of events."""
    hints = get_type_hints(event_class)
    return tuple(name for name, hint in hints.items() if _is_free(hint))


def _is_free(hint: Any) -> bool:
    if get_origin(hint) is dict or hint is Any:
        return True
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return True
    return any(_is_free(part) for part in get_args(hint))
