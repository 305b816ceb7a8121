"""The scope catalogue: what it accepts, how it orders, and what its fingerprint is worth."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import ScopeUnknown
from domain.permissions import HELD_BY_ROLE, Catalogue, Permission, Tier
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
        "clients:manage": (5, "management", None),
        "audit:read": (5, "management", None),
        "reports:read": (5, "management", None),
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
    """Several roles hold what each of them is composed of, else the permission of its name; an
    unknown role holds nothing.
    """
    roles = data.draw(
        st.lists(st.sampled_from(["xyz", *catalogue.roles, *catalogue.by_name])).map(tuple)
    )
    held = catalogue.held_through(roles)
    people = {p.name: (p.name,) for p in catalogue.permissions if p.tier in HELD_BY_ROLE}

    assert held == {name for role in roles for name in {**people, **catalogue.roles}.get(role, ())}
    assert {catalogue[name].tier for name in held} <= {Tier.USER, Tier.MANAGEMENT}


@pytest.mark.parametrize(
    ("roles", "held"),
    [
        (("admin",), {"admin"}),
        (("user",), {"user"}),
        (("admin", "user"), {"admin", "user"}),
        (("anonymous",), {"anonymous"}),
        (("auditor",), {"audit:read", "reports:read"}),
        (("clients:manage",), {"clients:manage"}),
        (("service", "openid", "root"), set()),
    ],
)
def test_a_role_carries_the_permission_of_its_name(roles: tuple[str, ...], held: set[str]) -> None:
    """And no other, unless it is composed; permissions that people cannot hold are no roles."""
    assert DEFAULT.held_through(roles) == held


def test_management_is_of_its_own_tier_in_old_catalogues_too() -> None:
    """A catalogue of before the tier says service, which would let every person administer; one
    that says anything else is refused.
    """
    old = {"name": "clients:manage", "level": 5, "tier": "service"}
    read = Catalogue.model_validate({"permissions": [old], "roles": {}})

    assert read["clients:manage"].tier is Tier.MANAGEMENT
    assert read.management == {"clients:manage"}
    with pytest.raises(ValidationError, match="clients:manage is of the tier management"):
        Permission(name="clients:manage", level=5, tier=Tier.USER)


def test_roles_that_nobody_composed_fit_the_permissions() -> None:
    """Left out, the roles of the default compose what there is of it, and do not fail."""
    name = {"name": "audit:read", "level": 1, "tier": "management"}

    assert Catalogue.model_validate({"permissions": [name]}).roles == {"auditor": ("audit:read",)}
    other = {"name": "boss", "level": 1, "tier": "user"}
    assert Catalogue.model_validate({"permissions": [other]}).roles == {}


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
