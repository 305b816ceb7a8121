"""Authorization details as they come in: of known types, fitting them, fit to be kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from application.authorization_details import MAX_BYTES, DetailTypes, UnusableTypes
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
    assert (unknown.title, unknown.members) == ("loan", (("x", "y"),))


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
    ],
)
def test_types_that_are_of_no_use(
    tmp_path: Path, description: str, content: str, says: str
) -> None:
    """The file is checked at the start, as a whole, and nothing is fetched for it."""
    path = tmp_path / "types.json"
    path.write_text(content)

    with pytest.raises(UnusableTypes, match=says.replace(".", r"\.")):
        DetailTypes.from_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """An unreadable file stops the start."""
    with pytest.raises(UnusableTypes):
        DetailTypes.from_file(tmp_path / "types.json")
