"""The scope catalogue: what it accepts, how it orders, and what its fingerprint is worth."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import ScopeUnknown
from domain.permissions import Catalogue, Permission, Tier
from tests.domain.catalogues import catalogues, requests

DEFAULT = Catalogue()


def test_the_default_catalogue() -> None:
    """The permissions that exist unless the settings say otherwise: level, tier and audience."""
    found = {p.name: (p.level, p.tier.value, p.required_audience) for p in DEFAULT.permissions}

    assert found == {
        "admin": (100, "user", None),
        "user": (50, "user", None),
        "service": (40, "service", None),
        "a2a": (30, "service", None),
        "mcp": (20, "service", None),
        "hook:govern": (15, "service", "hook"),
        "hook:track": (15, "service", "hook"),
        "anonymous": (10, "user", None),
        "clients:manage": (5, "service", None),
        "audit:read": (5, "service", None),
        "reports:read": (5, "service", None),
        "openid": (3, "identity", None),
        "profile": (3, "identity", None),
        "offline_access": (2, "identity", None),
    }


@given(catalogues(), st.data())
def test_order_depends_on_the_names_alone(catalogue: Catalogue, data: st.DataObject) -> None:
    """Any order and repetition of the same names gives one answer, which is in order."""
    names = data.draw(requests(list(catalogue.by_name)))
    shuffled = data.draw(st.permutations(names + names))
    ordered = catalogue.order(names)

    assert catalogue.order(shuffled) == ordered
    assert catalogue.order(ordered) == ordered
    assert set(ordered) == set(names)


@given(catalogues(), st.sets(st.text("xyz", min_size=1), min_size=1))
def test_unknown_names_are_named(catalogue: Catalogue, unknown: set[str]) -> None:
    """Ordering refuses what the catalogue does not have, by name, a second time too."""
    for _ in range(2):
        with pytest.raises(ScopeUnknown) as refusal:
            catalogue.order([*catalogue.by_name, *unknown])

        assert str(refusal.value) == f"unknown scope: {' '.join(sorted(unknown))}"


@given(catalogues(), st.data())
def test_roles_add_up(catalogue: Catalogue, data: st.DataObject) -> None:
    """Several roles hold what each of them holds, of user tier only; an unknown role nothing."""
    roles = data.draw(st.lists(st.sampled_from(["xyz", *catalogue.roles])).map(tuple))
    held = catalogue.held_through(roles)

    assert held == {name for role in roles for name in catalogue.roles.get(role, ())}
    assert {catalogue[name].tier for name in held} <= {Tier.USER}


@given(catalogues(), catalogues())
def test_the_fingerprint_tells_catalogues_apart(one: Catalogue, other: Catalogue) -> None:
    """Catalogues have the same fingerprint exactly when they are the same, in another process too:
    it depends on nothing but what the catalogue says.
    """
    copy = Catalogue.model_validate_json(one.model_dump_json())

    assert copy.digest == one.digest
    assert (one.digest == other.digest) == (one.model_dump_json() == other.model_dump_json())


@given(catalogues().filter(lambda catalogue: catalogue.permissions), st.data())
def test_any_change_shows_in_the_fingerprint(catalogue: Catalogue, data: st.DataObject) -> None:
    """Changing a single level changes the fingerprint."""
    place = data.draw(st.integers(0, len(catalogue.permissions) - 1))
    changed = list(catalogue.permissions)
    changed[place] = changed[place].model_copy(update={"level": changed[place].level + 1})
    other = Catalogue(permissions=tuple(changed), roles=catalogue.roles)

    assert other.digest != catalogue.digest


def a(name: str, **facts: Any) -> Permission:
    """Return a service-tier permission of level 1."""
    return Permission(**{"name": name, "level": 1, "tier": Tier.SERVICE, **facts})


@pytest.mark.parametrize(
    ("description", "facts", "message"),
    [
        (
            "a permission twice",
            {"permissions": (a("a"), a("a", level=2)), "roles": {}},
            "a permission is listed twice",
        ),
        (
            "a role with a service-tier permission",
            {"permissions": (a("a"),), "roles": {"r": ("a",)}},
            "role r: a is not a user-tier permission",
        ),
        (
            "a role with an unknown permission",
            {"permissions": (), "roles": {"r": ("b",)}},
            "role r: b is not a user-tier permission",
        ),
    ],
)
def test_refused_catalogues(description: str, facts: dict[str, Any], message: str) -> None:
    """A catalogue that contradicts itself is refused."""
    with pytest.raises(ValidationError, match=message):
        Catalogue(**facts)


@pytest.mark.parametrize("name", ["", "two words", 'quo"te', "back\\slash", "ümlaut", "new\nline"])
def test_names_are_scope_tokens(name: str) -> None:
    """A permission's name is a scope-token of RFC 6749, Section 3.3."""
    with pytest.raises(ValidationError):
        a(name)
