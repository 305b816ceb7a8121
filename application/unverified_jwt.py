"""A JWT read without belief: what it says, whoever wrote it.

It is not oversized, and readable: base64url of JSON objects whose names are unique (RFC 7519,
Section 4), and there is nothing in the header that we would have to understand (`crit`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jwt.utils import base64url_decode

from application.strict_json import DuplicateName, read_json

MAX_CHARACTERS = 16_384
# RFC 4648, Section 3.5: the last characters that leave no bits over, by the length modulo 4. Others
# would be further spellings of the same signature.
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")


class UnreadableJwt(Exception):
    """The text is no JWT that we would look at; the message says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class UnverifiedJwt:
    """The parts of a JWT. `signing_input` is what the signature, if it is one, was made of."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def payload(self) -> bytes:
        """The payload of the JWS, decoded."""
        return _decoded(self.signing_input.partition(b".")[2].decode())

    @property
    def type(self) -> str:
        """Its media type (RFC 8725, Section 3.11), "" where it names none."""
        typ = self.header.get("typ", "")
        return typ.lower().removeprefix("application/") if isinstance(typ, str) else "?"


def read_jwt(value: object) -> UnverifiedJwt:
    """Return what a JWT says. Raises UnreadableJwt."""
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        raise UnreadableJwt("no JWT, or an oversized one")
    # PyJWT looks at each character in Python, several times: 180 us of the 580 of an exchange.
    parts = _COMPACT.fullmatch(value)
    if parts is None:
        raise UnreadableJwt("unreadable JWT")
    header, claims = _object(parts[1]), _object(parts[2])
    if "crit" in header:
        raise UnreadableJwt("JWT with a critical header")
    signature = _decoded(parts[3])
    return UnverifiedJwt(header, claims, value[: parts.end(2)].encode(), signature)


def _object(part: str) -> dict[str, Any]:
    try:
        found = read_json(_decoded(part))
    except DuplicateName:
        raise UnreadableJwt("JWT with a name twice") from None
    except ValueError:
        raise UnreadableJwt("unreadable JWT") from None
    if not isinstance(found, dict):
        raise UnreadableJwt("unreadable JWT")
    return found


def _decoded(part: str) -> bytes:
    rest = len(part) % 4
    if rest and part[-1] not in _LAST[rest]:
        raise UnreadableJwt("unreadable JWT")
    return base64url_decode(part)
