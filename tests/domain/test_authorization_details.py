"""Authorization details only ever narrow (RFC 9396)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.authorization_details import Details, meant_for, narrowed, of_types
from domain.errors import DetailsNotGranted

PAYMENT: dict[str, Any] = {
    "type": "payment_initiation",
    "actions": ["initiate", "status"],
    "locations": ["https://bank.example", "https://other.example"],
    "instructedAmount": {"currency": "EUR", "amount": "123.50"},
    "count": 1,
}


def changed(**members: Any) -> dict[str, Any]:
    """Return the payment with other members; None leaves one out."""
    both = {**PAYMENT, **members}
    return {name: value for name, value in both.items() if value is not None}


@pytest.mark.parametrize(
    ("description", "wanted"),
    [
        ("the same", [PAYMENT]),
        ("nothing", []),
        ("some of the actions", [changed(actions=["status"])]),
        ("the actions in another order", [changed(actions=["status", "initiate"])]),
        ("one of the places", [changed(locations=["https://bank.example"])]),
        ("two parts of one", [changed(actions=["status"]), changed(actions=["initiate"])]),
    ],
)
def test_less_is_granted(description: str, wanted: list[dict[str, Any]]) -> None:
    """What is wanted is within what was granted, and is what is issued."""
    assert narrowed(tuple(wanted), (PAYMENT,)) == tuple(wanted)


@pytest.mark.parametrize(
    ("description", "wanted"),
    [
        ("another type", changed(type="account")),
        ("another action", changed(actions=["initiate", "cancel"])),
        ("no action", changed(actions=[])),
        ("without the actions", changed(actions=None)),
        ("without the places", changed(locations=None)),
        ("another place", changed(locations=["https://evil.example"])),
        ("another amount", changed(instructedAmount={"currency": "EUR", "amount": "999.00"})),
        ("half an amount", changed(instructedAmount={"amount": "123.50"})),
        ("without the amount", changed(instructedAmount=None)),
        ("something added", changed(recurring=True)),
        ("true in the place of 1", changed(count=True)),
        ("1.0 in the place of 1", changed(count=1.0)),
        ("text in the place of a list", changed(actions="initiate")),
        ("an object in the place of a list", changed(actions={"initiate": 1})),
    ],
)
def test_more_is_refused(description: str, wanted: dict[str, Any]) -> None:
    """Whatever is not certain to be less is refused, also beside something that is granted."""
    with pytest.raises(DetailsNotGranted):
        narrowed((PAYMENT, wanted), (PAYMENT,))


def test_nothing_named_is_all_of_it() -> None:
    """A request without the parameter gets what was granted; one of nothing, nothing."""
    assert narrowed(None, (PAYMENT,)) == (PAYMENT,)
    assert narrowed((), (PAYMENT,)) == ()


def test_each_place_sees_its_own() -> None:
    """Objects without a place go everywhere, others where they are meant for."""
    anywhere = {"type": "account"}
    here = {"type": "account", "locations": ["https://here.example"]}
    there = {"type": "account", "locations": ["https://there.example"]}
    details: Details = (anywhere, here, there)

    assert meant_for(details, ("https://here.example",)) == (anywhere, here)
    assert meant_for(details, ()) == details
    assert of_types(({"type": "a"}, {"type": "b"}), {"b"}) == ({"type": "b"},)


_NAMES = st.sampled_from(["actions", "locations", "amount", "to"])
_WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True)
_OBJECTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["x", "y"])},
    optional={
        "actions": _WORDS,
        "locations": _WORDS,
        "amount": st.integers(0, 2),
        "to": st.dictionaries(_NAMES, st.integers(0, 1), max_size=2),
    },
)
_DETAILS = st.lists(_OBJECTS, max_size=3).map(tuple)


def grants(details: Details) -> set[tuple[str, str]]:
    """Return each action at each place that details allow, "*" where they do not restrict it."""
    return {
        (f"{one['type']} {one.get('amount')} {one.get('to')} {action}", place)
        for one in details
        for action in one.get("actions", ["*"])
        for place in one.get("locations", ["*"])
    }


def within(wanted: Details, granted: Details) -> bool:
    """Tell whether the first is granted by the second."""
    try:
        return narrowed(wanted, granted) == wanted
    except DetailsNotGranted:
        return False


@given(wanted=_DETAILS, granted=_DETAILS)
def test_narrowing_never_widens(wanted: Details, granted: Details) -> None:
    """Whatever is granted allows nothing that was not allowed before."""
    if within(wanted, granted):
        assert grants(wanted) <= grants(granted)


@given(first=_DETAILS, second=_DETAILS, third=_DETAILS)
def test_narrowing_twice_is_narrowing(first: Details, second: Details, third: Details) -> None:
    """A part of a part is a part: an exchange of an exchange widens nothing either."""
    if within(first, second) and within(second, third):
        assert within(first, third)
