"""Authorization details as they come in: of known types, fitting them, fit to be kept."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from application.authorization_details import MAX_BYTES, DetailTypes
from application.detail_schemas import UnusableTypes
from application.errors import InvalidAuthorizationDetails

SCHEMA = {
    "title": "Payment",
    "type": "object",
    "required": ["type", "amount"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "payment"},
        "amount": {"type": "number", "exclusiveMinimum": 0, "title": "Amount in EUR"},
        "to": {"type": "string"},
        "actions": {"type": "array", "items": {"enum": ["initiate"]}},
        "locations": {"type": "array"},
        "more": {},
    },
}
TYPES = DetailTypes({"payment": SCHEMA, "account": {}})
ALLOWED = ("payment",)
TO_B, TO_C = {"$ref": "#/$defs/b"}, {"not": {"$ref": "#/$defs/c"}}


def text(**members: Any) -> str:
    """Return a request for a payment."""
    return json.dumps([{"type": "payment", "amount": 12.5, **members}])


@pytest.mark.parametrize(
    ("description", "sent"),
    [
        ("no JSON", "payment"),
        ("empty", " "),
        ("an object", '{"type": "payment", "amount": 1}'),
        ("a list of texts", '["payment"]'),
        ("a name twice", '[{"type": "payment", "type": "payment", "amount": 1}]'),
        ("no type", '[{"amount": 1}]'),
        ("a type that is a number", '[{"type": 7, "amount": 1}]'),
        ("an unknown type", '[{"type": "loan", "amount": 1}]'),
        ("a type of others", '[{"type": "account"}]'),
        ("not fitting", text(amount=-1)),
        ("a member that is missing", '[{"type": "payment"}]'),
        ("a member too many", text(extra=1)),
        ("an action that is not", text(actions=["cancel"])),
        ("places that are no list", text(locations="https://bank.example")),
        ("places that are no texts", text(locations=[1])),
        ("oversized", text(to="x" * MAX_BYTES)),
        ("too many", json.dumps([{"type": "payment", "amount": 1}] * 21)),
        ("too deep", text(more=json.loads("[" * 12 + "1" + "]" * 12))),
        ("far too deep", "[" * 2000),
        ("U+0000 in a text", text(to="a\0b")),
        ("U+0000 in a name", text(more={"a\0": 1})),
        ("half a character", '[{"type": "payment", "amount": 1, "to": "\\ud800"}]'),
        ("not a number", '[{"type": "payment", "amount": NaN}]'),
        ("an infinite number", '[{"type": "payment", "amount": Infinity}]'),
        ("a number beyond all", '[{"type": "payment", "amount": 1e999}]'),
        ("a number beyond what is exact", text(more=2**53)),
    ],
)
def test_what_is_refused(description: str, sent: str) -> None:
    """Whatever is not of a type that the client may use, and fit to be kept, is refused."""
    with pytest.raises(InvalidAuthorizationDetails):
        TYPES.read(sent, allowed=ALLOWED)


def test_what_is_taken() -> None:
    """A good request is read as it is; none is None, an empty list is nothing."""
    assert TYPES.read(text(actions=["initiate"]), allowed=ALLOWED) == (
        {"type": "payment", "amount": 12.5, "actions": ["initiate"]},
    )
    assert TYPES.read(None, allowed=()) is None
    assert TYPES.read("[]", allowed=()) == ()


def test_people_read_them_in_words() -> None:
    """Title and members by the words of the schema, everything that is in the object shown."""
    (payment,) = TYPES.shown(
        ({"type": "payment", "amount": 12.5, "more": {"a": [True, None]}, "to": "DE02"},)
    )
    (unknown,) = TYPES.shown(({"type": "loan", "x": "y"},))

    assert payment.title == "Payment"
    assert payment.members == (
        ("Amount in EUR", "12.5"),
        ("more", "a: yes"),
        ("more", "a: none"),
        ("to", "DE02"),
    )
    assert (unknown.title, unknown.members) == ("loan", (('"x"', "y"),))


@pytest.mark.parametrize(
    ("description", "content", "says"),
    [
        ("no JSON", "{", "no JSON"),
        ("a list", "[]", "an object of types"),
        ("no schema", '{"a": 1}', "a: must be a schema"),
        ("not a schema", '{"a": {"type": "thing"}}', "a: "),
        (
            "a schema elsewhere",
            '{"a": {"$ref": "http://127.0.0.1/schema"}}',
            "a: refers to http://127.0.0.1/schema",
        ),
        (
            "a schema elsewhere, for a member that is seldom there",
            '{"a": {"properties": {"x": {"$ref": "http://127.0.0.1/schema"}}}}',
            "a: refers to http://127.0.0.1/schema",
        ),
        (
            "a schema elsewhere, behind another reference",
            '{"a": {"odd": {"not": {"$ref": "b.json"}}, "properties": {"x": {"$ref": "#/odd"}}}}',
            "a: refers to b.json",
        ),
        (
            "the schema of schemas, which is elsewhere as well",
            '{"a": {"items": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}}',
            "a: refers to https://json-schema.org",
        ),
        (
            "a reference to nothing",
            '{"a": {"properties": {"x": {"$ref": "#/$defs/gone"}}}}',
            "a: refers to /$defs/gone",
        ),
        (
            "no schema where a reference leads",
            '{"a": {"odd": {"type": 5}, "properties": {"x": {"$ref": "#/odd"}}}}',
            "a: 5 is not valid",
        ),
        (
            "a circle",
            '{"a": {"properties": {"x": {"$ref": "#/properties/x"}}}}',
            "a: refers to itself in a circle",
        ),
        (
            "a circle of several",
            json.dumps(
                {"a": {"$defs": {"b": {"allOf": [TO_C]}, "c": {"dependentSchemas": {"x": TO_B}}}}}
            ),
            "a: refers to itself in a circle",
        ),
        (
            "a reference that moves",
            '{"a": {"$dynamicRef": "#here"}}',
            "a: $dynamicRef is not supported",
        ),
        (
            "another dialect",
            '{"a": {"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}}',
            "a: $schema must be that of draft 2020-12",
        ),
        (
            "a format that nobody checks",
            '{"a": {"properties": {"x": {"format": "color"}}}}',
            "a: the format color is not one",
        ),
        (
            "a pattern that is none",
            '{"a": {"items": {"pattern": "("}}}',
            "a: '(' is not a 'regex'",
        ),
    ],
)
def test_types_that_are_of_no_use(
    tmp_path: Path, description: str, content: str, says: str
) -> None:
    """The file is checked at the start, as a whole, and nothing is fetched for it."""
    path = tmp_path / "types.json"
    path.write_text(content)

    with pytest.raises(UnusableTypes, match=re.escape(says)):
        DetailTypes.from_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """An unreadable file stops the start."""
    with pytest.raises(UnusableTypes):
        DetailTypes.from_file(tmp_path / "types.json")


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("date", "2026-02-30"),
        ("date-time", "yesterday"),
        ("time", "noon"),
        ("email", "alice"),
        ("uri", "not a uri"),
        ("ipv4", "1.2.3"),
        ("uuid", "1"),
    ],
)
def test_formats_are_checked(wanted: str, value: str) -> None:
    """A format is more than a remark."""
    types = DetailTypes({"a": {"properties": {"x": {"format": wanted}}}})

    with pytest.raises(InvalidAuthorizationDetails):
        types.read(json.dumps([{"type": "a", "x": value}]), allowed=["a"])


def test_schemas_may_refer_to_themselves() -> None:
    """By pointer, by anchor and by a name within; trees of objects as well."""
    types = DetailTypes(
        {
            "a": {
                "$id": "https://bank.example/a",
                "$defs": {
                    "text": {"$anchor": "text", "type": "string"},
                    "number": {"$id": "number", "type": "integer"},
                },
                "properties": {
                    "type": True,
                    "x": {"$ref": "#/$defs/text"},
                    "y": {"$ref": "#text"},
                    "z": {"$ref": "number"},
                    "child": {"$ref": "#"},
                },
            }
        }
    )
    good = {"x": "1", "y": "2", "z": 3}

    assert types.read(json.dumps([{"type": "a", **good, "child": good}]), allowed=["a"])
    for bad in ({"x": 1}, {"y": 1}, {"z": "1"}, {"child": {"child": {"z": "1"}}}):
        with pytest.raises(InvalidAuthorizationDetails):
            types.read(json.dumps([{"type": "a", **bad}]), allowed=["a"])


def test_people_see_what_is_empty_and_what_cannot_be_seen() -> None:
    """Nothing is left out of what is shown, and no character turns the rest of it round."""
    (payment,) = TYPES.shown(
        ({"type": "payment", "actions": [], "to": "", "more": {"a": {}}, "amount": 0},)
    )
    (turned,) = TYPES.shown(({"type": "payment", "to": "05.321\u202e RUE\x07\n-", "more": "é 日"},))

    assert payment.members == (
        ("actions", "(empty)"),
        ("to", "(empty)"),
        ("more", "a: (empty)"),
        ("Amount in EUR", "0"),
    )
    assert turned.members == (("to", "05.321<U+202E> RUE<U+0007> -"), ("more", "é 日"))


def test_a_made_up_member_does_not_pass_for_a_title() -> None:
    """What the schema does not know is shown in quotes."""
    types = DetailTypes({"pay": {"properties": {"creditor": {"title": "To"}}}})
    (shown,) = types.shown(({"type": "pay", "creditor": "Mallory", "To": "Alice", "\u202e": 1},))

    assert shown.members == (("To", "Mallory"), ('"To"', "Alice"), ('"<U+202E>"', "1"))


def test_the_description_of_an_error_is_plain() -> None:
    """RFC 6749, Section 5.2: names that a client made up come back in ASCII, without quotes."""
    types = DetailTypes({"a": {"properties": {"type": True}, "additionalProperties": False}})
    strict = DetailTypes({"a": {"additionalProperties": {"type": "string"}}})
    sent = json.dumps([{"type": "a", 'é"\\\n': 1}])

    with pytest.raises(InvalidAuthorizationDetails) as refused:
        strict.read(sent, allowed=["a"])
    assert refused.value.description == "authorization_details do not fit their type at ????"
    with pytest.raises(InvalidAuthorizationDetails, match=r"at the object$"):
        types.read(sent, allowed=["a"])
