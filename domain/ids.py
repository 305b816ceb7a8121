"""Identifiers of streams: what an id says about where its events live.

Two kinds, and nothing else is accepted by the store:

- directory id: UUIDv8 (RFC 9562, Section 5.8) derived from a kind and a name. The first byte is
  00, so that all of them fall into the "directory" partition, and the same name always gives the
  same id: uniqueness and look-up need no index.
- UUIDv7 (RFC 9562, Section 5.7): starts with the moment it was made, so that it falls into the
  partition of its month.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

DIRECTORY_FIRST_BYTE = 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def directory_id(kind: str, name: str) -> UUID:
    """Return the stream id of the directory entry `name` of `kind` ("client", "principal", ...)."""
    digest = sha256(f"{kind}\0{name}".encode()).digest()
    raw = bytearray(bytes([DIRECTORY_FIRST_BYTE]) + digest[:15])
    raw[6] = 0x80 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return UUID(bytes=bytes(raw))


def uuid7(moment: datetime, randomness: bytes) -> UUID:
    """Return the UUIDv7 of an aware UTC `moment` with ten bytes of `randomness`."""
    milliseconds = (moment - _EPOCH) // _MILLISECOND
    value = milliseconds << 80 | int.from_bytes(randomness, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def uuid7_moment(value: UUID) -> datetime:
    """Return the UTC moment, to the millisecond, at which a UUIDv7 was made."""
    return _EPOCH + (value.int >> 80) * _MILLISECOND
