"""Authorization details (RFC 9396) as they are asked for: of types that this deployment knows.

1 at most 4 KiB of JSON, an array of at most 20 objects, not deeper than 10, of texts without U+0000
and numbers that every reader reads alike: they are recorded, and come back in tokens, 2 each names
a `type` that the deployment has and the client may use, 3 each fits the JSON Schema of its type.

Types are a file of the settings: a JSON object of name and schema.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from application.detail_schemas import UnusableTypes, validator_of
from application.errors import InvalidAuthorizationDetails
from application.strict_json import read_json
from domain.authorization_details import LISTS, Details
from domain.visible_text import visible

MAX_BYTES = 4096
"""It travels in URLs, and in every token."""
_MAX_OBJECTS = 20
_MAX_DEPTH = 10
_NOT_DESCRIPTIVE = re.compile(r"[^ !#-\[\]-~]")
"""RFC 6749, Section 5.2: what may not be in an error_description; names come from the client."""
_MAX_INTEGER = 2**53 - 1
"""RFC 8259, Section 6: beyond, readers disagree."""


@dataclass(frozen=True, slots=True)
class ShownDetail:
    """One object for people to read: what kind of thing, and its members."""

    title: str
    members: tuple[tuple[str, str], ...]


class DetailTypes:
    """The types that a deployment knows, with the schema of each."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = dict(schemas)
        self._validators = {name: validator_of(name, schema) for name, schema in schemas.items()}

    @classmethod
    def from_file(cls, path: Path | None) -> "DetailTypes":
        """Return the types of a file, none for None. Raises UnusableTypes."""
        if path is None:
            return cls({})
        try:
            found = read_json(path.read_bytes())
        except OSError as error:
            raise UnusableTypes(str(error.strerror)) from None
        except ValueError as error:
            raise UnusableTypes(f"no JSON: {error}") from None
        if not isinstance(found, dict):
            raise UnusableTypes("must be an object of types and their schemas")
        return cls(found)

    @property
    def names(self) -> tuple[str, ...]:
        """The types, in the order of the file."""
        return tuple(self._schemas)

    def read(self, text: str | None, *, allowed: Collection[str]) -> Details | None:
        """Return what a parameter asks for, None where it was not sent.

        `allowed` are the client's types. Raises InvalidAuthorizationDetails.
        """
        if text is None:
            return None
        details = _objects(text)  # 1
        for one in details:
            name = one.get("type")
            if not isinstance(name, str) or name not in self._validators:  # 2
                raise InvalidAuthorizationDetails("authorization_details of an unknown type")
            if name not in allowed:
                raise InvalidAuthorizationDetails("the client may not use this type")
            self._require_fit(name, one)  # 3
        return details

    def shown(self, details: Details) -> list[ShownDetail]:
        """Return `details` as people read them, with the words of the schemas."""
        return [self._shown(one) for one in details]

    def _shown(self, one: Mapping[str, Any]) -> ShownDetail:
        schema = self._schemas.get(one["type"], {})
        words = schema.get("properties", {})

        def label(name: str) -> str:
            told = words.get(name)
            if told is None:
                # In quotes, so that no name that a client made up passes for a title.
                return f'"{visible(name)}"'
            return str(told.get("title", name)) if isinstance(told, dict) else name

        title = str(schema.get("title", one["type"]))
        rows = [
            (label(name), visible(text))
            for name, value in one.items()
            if name != "type"
            for text in _texts(value)
        ]
        return ShownDetail(title, tuple(rows))

    def _require_fit(self, name: str, one: Mapping[str, Any]) -> None:
        for member in LISTS:
            value = one.get(member, [])
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InvalidAuthorizationDetails(f"{member} must be a list of texts")
        problem = next(self._validators[name].iter_errors(one), None)
        if problem is not None:
            place = "/".join(str(part) for part in problem.absolute_path) or "the object"
            place = _NOT_DESCRIPTIVE.sub("?", place[:100])
            raise InvalidAuthorizationDetails(
                f"authorization_details do not fit their type at {place}",
                reason=f"schema of {name}: {problem.validator}",
            )


def _objects(text: str) -> Details:
    """1."""
    raw = text.encode()
    if len(raw) > MAX_BYTES:
        raise InvalidAuthorizationDetails(f"authorization_details are over {MAX_BYTES} bytes")
    try:
        found = read_json(raw)
    except ValueError:
        raise InvalidAuthorizationDetails("authorization_details are no JSON") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidAuthorizationDetails("authorization_details must be an array of objects")
    if len(found) > _MAX_OBJECTS:
        raise InvalidAuthorizationDetails(f"more than {_MAX_OBJECTS} authorization_details")
    for depth, leaf in _leaves(found, 0):
        if depth > _MAX_DEPTH:
            raise InvalidAuthorizationDetails("authorization_details are nested too deeply")
        if isinstance(leaf, str) and "\0" in leaf:
            raise InvalidAuthorizationDetails("authorization_details hold U+0000")
        if isinstance(leaf, int) and abs(leaf) > _MAX_INTEGER:
            raise InvalidAuthorizationDetails("a number is too large")
    return tuple(found)


def _leaves(value: Any, depth: int) -> Iterator[tuple[int, Any]]:
    """Yield names and values with their depth."""
    if depth > _MAX_DEPTH:
        yield depth, None
    elif isinstance(value, dict):
        for name, member in value.items():
            yield depth, name
            yield from _leaves(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, depth + 1)
    else:
        yield depth, value


def _texts(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield what people read of a value, a line for each of its parts; of nothing that, too."""
    if value in ([], {}, ""):
        yield f"{prefix}(empty)"
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _texts(member, f"{prefix}{name}: ")
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member, prefix)
    else:
        text = {True: "yes", False: "no", None: "none"}.get(value) if _is_word(value) else value
        yield f"{prefix}{text}"


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)
