"""What is granted beyond scopes (RFC 9396): objects of a `type`, which only ever narrow.

A wanted object is within a granted one of the same type where every member is the same, but for
the lists of RFC 9396, Section 2.2, of which a part may be wanted, and not nothing. A member that
is missing is not narrower: what a grant restricted to some `locations` would be good everywhere
without them. A member that is added is not either: only the type knows what it means.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from domain.errors import DetailsNotGranted

Details = tuple[dict[str, Any], ...]

LISTS = ("actions", "locations", "datatypes", "privileges")
"""RFC 9396, Section 2.2: the common members that say to what a grant is restricted."""


def narrowed(wanted: Details | None, granted: Details) -> Details:
    """Return what is wanted of `granted`, all of it where that is None.

    Raises DetailsNotGranted for an object that is within none that was granted.
    """
    if wanted is None:
        return granted
    for one in wanted:
        if not any(_within(one, other) for other in granted):
            raise DetailsNotGranted("authorization_details go beyond what was granted")
    return wanted


def of_types(details: Details, types: Collection[str]) -> Details:
    """Return those of `details` whose type is one of `types`."""
    return tuple(one for one in details if one["type"] in types)


def meant_for(details: Details, targets: Sequence[str]) -> Details:
    """Return what a token for `targets` carries: where an object names `locations`, one of them.

    RFC 9396, Section 9: each resource server sees what concerns it. Without targets all of them.
    """
    if not targets:
        return details
    return tuple(
        one for one in details if not one.get("locations") or set(one["locations"]) & set(targets)
    )


def _within(wanted: Mapping[str, Any], granted: Mapping[str, Any]) -> bool:
    return wanted.keys() == granted.keys() and all(
        _member_within(name, wanted[name], granted[name]) for name in wanted
    )


def _member_within(name: str, wanted: Any, granted: Any) -> bool:
    if name in LISTS and isinstance(wanted, list) and isinstance(granted, list):
        # Of some nothing: a resource may take that for "not restricted".
        return wanted == granted or (bool(wanted) and all(one in granted for one in wanted))
    # In Python 1 == True == 1.0, in JSON they are three things.
    return _same(wanted, granted)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
