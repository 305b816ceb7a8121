"""What attackers, proxies and broken clients make of a valid value: close to it, and not it.

Structure-aware: a parser meets its own format with one thing wrong far more often than noise.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ODD_CHARACTERS = st.sampled_from(
    [
        *("\0", "\n", "\r\n", "\t", " ", "+", "/", "=", "%", "%00", "&", ";", ",", ".", "\\", '"'),
        *("\x7f", "\x80", "é", "ﬀ", "İ", "\u202e", "\ufeff", "\u2028", "\U0001f511", "0" * 40),
    ]
)
ODD_VALUES: SearchStrategy[Any] = st.sampled_from(
    [
        *("", "\0", "alice", "https://auth.example", "[]", "null", "\u202e", "x" * 600),
        *(0, -1, 1, 2**31, 2**53, 2**64, -(2**63) - 1, 10**400, 0.5, 1e300, -0.0, True, False),
        *(None, [], {}, [[]], [None], ["a", "a"], {"": ""}, {"sub": {"sub": {}}}),
    ]
)
_RAW = st.sampled_from(
    [
        *(b"1e999", b"-1e999", b"NaN", b"Infinity", b"-0", b"01", b"1.", b"9" * 5000),
        *(b'"\xed\xa0\x80"', b'"\\ud800"', b'"\xff"', b'"\xc0\x80"', b'"\\u0000"', b'"\0"'),
        *(b"[" * 3000, b'{"a":' * 3000, b"[" * 400 + b"]" * 400, b"", b"//", b"'a'", b"tru"),
    ]
)


@st.composite
def damaged(draw: st.DrawFn, valid: str) -> str:
    """Return a text near `valid`, never `valid` itself."""
    change = draw(st.sampled_from(_CHANGES))
    place = draw(st.integers(0, max(len(valid) - 1, 0)))
    changed = change(valid, place, draw(ODD_CHARACTERS | st.characters(codec="ascii")))
    return changed if changed != valid else f"{valid}{draw(ODD_CHARACTERS)}"


_CHANGES: tuple[Callable[[str, int, str], str], ...] = (
    lambda text, place, other: text[:place] + other + text[place + 1 :],
    lambda text, place, other: text[:place] + other + text[place:],
    lambda text, place, _: text[:place] + text[place + 1 :],
    lambda text, place, _: text[:place],
    lambda text, place, _: text[place:],
    lambda text, place, _: text[:place] + text[place:].swapcase(),
    lambda text, place, _: text + text[place:],
    lambda text, _, other: text + other,
    lambda text, _, other: other + text,
    lambda text, _, __: text.replace("-", "+").replace("_", "/"),
    lambda text, _, __: text.rstrip("=") + "=",
    lambda text, _, __: text.strip("="),
)


@st.composite
def damaged_object(draw: st.DrawFn, valid: Mapping[str, Any]) -> bytes:
    """Return JSON near that of `valid`: another member, one twice, raw oddities, other encodings.

    What comes out may still be valid JSON, and may even say the same.
    """
    members = [
        (json.dumps(name).encode(), json.dumps(value).encode()) for name, value in valid.items()
    ]
    odd = st.one_of(_RAW, ODD_VALUES.map(lambda value: json.dumps(value).encode()))
    for _ in range(draw(st.integers(0, 2))):
        name, value = draw(st.sampled_from(members))
        change = draw(st.sampled_from(("value", "twice", "gone", "name")))
        if change == "value":
            members[members.index((name, value))] = (name, draw(odd))
        elif change == "twice":
            members.append((name, draw(odd | st.just(value))))
        elif change == "gone" and len(members) > 1:
            members.remove((name, value))
        else:
            members.append((json.dumps(draw(st.text(max_size=6))).encode(), draw(odd)))
    text = b"{" + b",".join(name + b":" + value for name, value in members) + b"}"
    return draw(st.sampled_from(_WRAPPINGS))(text)


_WRAPPINGS: tuple[Callable[[bytes], bytes], ...] = (
    *(lambda text: text,) * 6,
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.decode("utf-8", "replace").encode("utf-16"),
    lambda text: text.decode("utf-8", "replace").encode("utf-32-le"),
    lambda text: b"[" + text + b"]",
    lambda text: text + text,
    lambda text: text[:-1],
    lambda text: text + b"\0",
    lambda text: b" \n" + text + b"\t ",
)


def segment(raw: bytes) -> str:
    """Return one part of a JWS (RFC 7515, Section 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def objects(valid: Mapping[str, Any]) -> SearchStrategy[bytes]:
    """Return JSON objects that are `valid` as it is, or damaged."""
    return st.just(json.dumps(valid).encode()) | damaged_object(valid)
