"""JSON of others: what is taken says one thing, to us and to every other strict reader."""

import json
from math import isfinite
from time import process_time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.authorization_details import MAX_BYTES, DetailTypes
from application.errors import InvalidAuthorizationDetails
from application.strict_json import read_json
from tests.fuzz.mutations import damaged_object

VALID = {"iss": "a", "aud": ["b", "c"], "exp": 1.5, "nested": {"sub": "d"}, "flag": True}
DETAILS = {"type": "payment", "actions": ["pay"], "amount": 12, "to": {"name": "x", "deep": [1]}}
TYPES = DetailTypes({"payment": {"type": "object"}})

REFUSED = {
    "half a character, raw": b'{"a":"\xed\xa0\x80"}',
    "half a character, escaped": b'{"a":"\\ud800"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "an overlong encoding": b'{"a":"\xc0\x80"}',
    "a number beyond all": b'{"a":1e999}',
    "a number below all": b'{"a":-1e999}',
    "not a number": b'{"a":NaN}',
    "a number of 5,000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "a name twice": b'{"a":1,"a":1}',
    "a name twice, escaped": b'{"a":1,"\\u0061":1}',
    "deep nesting": b"[" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(text: bytes) -> None:
    """Each is a ValueError, and nothing else comes out."""
    with pytest.raises(ValueError):  # noqa: PT011  # its kinds are the parser's own
        read_json(text)


@given(text=damaged_object(VALID) | st.binary(max_size=60))
def test_is_read_one_way_or_refused(text: bytes) -> None:
    """What is taken can be written in UTF-8, is finite, and reads the same elsewhere."""
    try:
        found = read_json(text)
    except ValueError:
        return

    written = json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    assert read_json(written) == found
    assert all(isinstance(one, int) or isfinite(one) for one in _numbers(found))
    if not any(isinstance(one, int) and abs(one) >= 2**63 for one in _numbers(found)):
        assert msgspec.json.decode(text) == found


@given(text=damaged_object(DETAILS).map(lambda one: b"[" + one + b"]"))
def test_authorization_details(text: bytes) -> None:
    """Details are taken whole and can be written in a token, or refused by their own error."""
    try:
        found = TYPES.read(text.decode("utf-8", "replace"), allowed=("payment",))
    except InvalidAuthorizationDetails:
        return

    assert found is not None
    assert len(msgspec.json.encode(found)) <= 2 * MAX_BYTES
    TYPES.shown(found)


@pytest.mark.parametrize(
    "text",
    [b"[" * 60_000, b'{"":' * 15_000, b'["' + b"\\u0000" * 10_000 + b'"]', b"[" + b"1," * 30_000],
    ids=["lists", "objects", "escapes", "long"],
)
def test_takes_little_time(text: bytes) -> None:
    """A body of the largest size costs milliseconds, whatever stands in it."""
    began = process_time()
    with pytest.raises(ValueError):  # noqa: PT011
        read_json(text + b"!")

    assert process_time() - began < 0.5


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for member in value.values() for one in _numbers(member)]
    if isinstance(value, list):
        return [one for member in value for one in _numbers(member)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []
