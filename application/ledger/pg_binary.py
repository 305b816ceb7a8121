"""PostgreSQL's binary format for the few types of the hot path.

psycopg's adapters look at every element of an array to find its type; here the types are known.
Format: arrays as in array_send() of PostgreSQL (dimensions, null flag, element oid, length, lower
bound, then each element behind its length), integers big-endian.
"""

import struct
from collections.abc import Iterable, Sequence
from uuid import UUID

_HEADER = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_INT8 = struct.Struct("!iq")
_UUID_OID, _INT8_OID, _TEXT_OID, _BYTEA_OID = 2950, 20, 25, 17
_UUID_LENGTH = _LENGTH.pack(16)


def int8(value: int) -> bytes:
    """Return `value` as bigint. Raises OverflowError outside 64 bits."""
    return value.to_bytes(8, "big", signed=True)


def uuid_array(values: Sequence[UUID]) -> bytes:
    """Return `values` as uuid[]."""
    return _array(_UUID_OID, len(values), (_UUID_LENGTH + value.bytes for value in values))


def int8_array(values: Sequence[int]) -> bytes:
    """Return `values` as bigint[]. Raises struct.error outside 64 bits."""
    return _array(_INT8_OID, len(values), (_INT8.pack(8, value) for value in values))


def text_array(values: Sequence[str]) -> bytes:
    """Return `values` as text[]."""
    encoded = (value.encode() for value in values)
    return _array(_TEXT_OID, len(values), (_LENGTH.pack(len(v)) + v for v in encoded))


def bytea_array(values: Sequence[bytes]) -> bytes:
    """Return `values` as bytea[]."""
    return _array(_BYTEA_OID, len(values), (_LENGTH.pack(len(v)) + v for v in values))


def read_int(value: bytes | None) -> int:
    """Return the value of an integer column that is not null."""
    assert value is not None
    return int.from_bytes(value, "big", signed=True)


def read_uuid(value: bytes | None) -> UUID:
    """Return the value of a uuid column that is not null."""
    return UUID(bytes=value)


def _array(oid: int, length: int, elements: Iterable[bytes]) -> bytes:
    if length == 0:
        return _HEADER.pack(0, 0, oid, 0, 0)[:12]
    return b"".join((_HEADER.pack(1, 0, oid, length, 1), *elements))
