"""Tokens that are derived and kept nowhere: refresh tokens, codes, session cookies, device codes.

`<prefix>_<base64url(version, pepper tag, stream id, generation, HMAC-SHA-256 under the pepper)>`.
A leaked database yields no usable one; the stream is found without an index of hashes; and the
same generation can be derived again, so that a retry is answered with the identical string.
Whatever does not carry our MAC is refused before anything is read.
"""

import base64
import hmac
import re
import struct
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

import msgspec

from application.secret_keys import Peppers

_VERSION = 1
_FIXED = struct.Struct("!B4s16sI")
_MAC_BYTES = 32
# No padding and no spare bits, so that each value has one spelling; b64decode would take the
# characters of plain base64 beside these.
_ENCODED = re.compile(f"[A-Za-z0-9_-]{{{(_FIXED.size + _MAC_BYTES) * 4 // 3}}}")


class TokenKind(StrEnum):
    """What a derived token is for; the value is its prefix, known to secret scanners."""

    REFRESH = "glr"
    CODE = "glc"
    SESSION = "glb"
    DEVICE = "gld"


class UnreadableToken(Exception):
    """The string is no derived token of ours; the message says why, for the record."""


class Derived(msgspec.Struct, frozen=True):
    """What a derived token says: whose stream, and which of its generations; and the pepper that
    its MAC fits. Whoever knows under which pepper it was issued has to compare.
    """

    stream_id: UUID
    generation: int
    pepper_id: str


class DerivedTokens:
    """Derives and reads tokens under the peppers of the deployment."""

    def __init__(self, peppers: Peppers) -> None:
        self._peppers = peppers
        self._by_tag = {_tag(pepper_id): pepper_id for pepper_id in peppers.ids}

    @property
    def pepper_id(self) -> str:
        """The pepper that new generations are derived under."""
        return self._peppers.current.key_id

    def derive(
        self, kind: TokenKind, stream_id: UUID, *, generation: int = 0, pepper_id: str = ""
    ) -> str:
        """Return the token of a generation, the current pepper's unless `pepper_id` names one.

        Raises KeyError for a pepper that was taken out of the settings.
        """
        pepper_id = pepper_id or self.pepper_id
        fixed = _FIXED.pack(_VERSION, _tag(pepper_id), stream_id.bytes, generation)
        return f"{kind}_{_encode(fixed + self._mac(kind, pepper_id, fixed))}"

    def read(self, kind: TokenKind, token: str) -> Derived:
        """Return what `token` says once its MAC is checked. Raises UnreadableToken."""
        prefix = f"{kind}_"
        if not token.startswith(prefix) or not _ENCODED.fullmatch(token, len(prefix)):
            raise UnreadableToken("not such a token")
        raw = base64.urlsafe_b64decode(token[len(prefix) :])
        fixed, mac = raw[: _FIXED.size], raw[_FIXED.size :]
        version, tag, stream_id, generation = _FIXED.unpack(fixed)
        pepper_id = self._by_tag.get(tag)
        if version != _VERSION or pepper_id is None:
            raise UnreadableToken("unknown version or pepper")
        if not hmac.compare_digest(mac, self._mac(kind, pepper_id, fixed)):
            raise UnreadableToken("forged")
        return Derived(UUID(bytes=stream_id), generation, pepper_id)

    def _mac(self, kind: TokenKind, pepper_id: str, fixed: bytes) -> bytes:
        # The kind is part of what is signed: a code must never pass for a refresh token.
        return self._peppers.mac(pepper_id, b"token\0" + kind.encode() + b"\0" + fixed)


@lru_cache(maxsize=64)  # as many as there are peppers, and those are few
def _tag(pepper_id: str) -> bytes:
    return sha256(pepper_id.encode()).digest()[:4]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
