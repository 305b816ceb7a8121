"""A principal: its roles, and whether its authority counts."""

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import InvalidConfiguration
from domain.principal import Principal
from tests.builders import AT_NOON, CATALOGUE, a_principal, later
from tests.domain.given import Fact, events_of, fact, given

LATER = later(1)
ID = {"subject": "owner-1"}
ACTIVE = events_of(a_principal(roles=("user",)))
INACTIVE = events_of(a_principal(roles=("user",)), lambda p: p.deactivate(AT_NOON))


def assign(*roles: str) -> Callable[[Principal], object]:
    """Return the command that makes `roles` the principal's roles."""
    return lambda p: p.assign_roles(roles, catalogue=CATALOGUE, provenance=LATER)


def test_registration() -> None:
    """A registered principal is active and holds what its roles give."""
    principal = (
        given()
        .when(
            lambda _: Principal.register(
                "owner-1", ("admin",), catalogue=CATALOGUE, provenance=LATER
            )
        )
        .then(fact(Principal.Registered, **ID, roles=("admin",)), at=LATER)
    )

    assert principal.id == Principal.stream("owner-1")
    assert principal.permissions(CATALOGUE) == {"admin"}


@pytest.mark.parametrize(
    ("description", "events", "command", "facts"),
    [
        (
            "other roles",
            ACTIVE,
            assign("admin"),
            [fact(Principal.RolesAssigned, **ID, roles=("admin",))],
        ),
        ("no roles", ACTIVE, assign(), [fact(Principal.RolesAssigned, **ID, roles=())]),
        ("the same roles", ACTIVE, assign("user"), []),
        ("deactivate", ACTIVE, lambda p: p.deactivate(LATER), [fact(Principal.Deactivated, **ID)]),
        ("deactivate twice", INACTIVE, lambda p: p.deactivate(LATER), []),
        (
            "reactivate",
            INACTIVE,
            lambda p: p.reactivate(LATER),
            [fact(Principal.Reactivated, **ID)],
        ),
        ("reactivate the active", ACTIVE, lambda p: p.reactivate(LATER), []),
        (
            "roles while inactive",
            INACTIVE,
            assign("admin"),
            [fact(Principal.RolesAssigned, **ID, roles=("admin",))],
        ),
    ],
)
def test_changes(
    description: str, events: list[Any], command: Callable[[Principal], object], facts: list[Fact]
) -> None:
    """A change is one fact; what is so already is none."""
    given(*events).when(command).then(*facts, at=LATER)


@pytest.mark.parametrize(
    ("description", "events", "command"),
    [
        ("at registration", [], lambda _: a_principal(roles=("user", "root", "boss"))),
        ("at assignment", ACTIVE, assign("user", "root", "boss")),
    ],
)
def test_unknown_roles(
    description: str, events: list[Any], command: Callable[[Principal], object]
) -> None:
    """A role outside the catalogue is refused by name and records nothing."""
    given(*events).refuses(command, InvalidConfiguration, "unknown role: boss root")


def test_the_deactivated_hold_nothing() -> None:
    """Whatever the roles, a deactivated principal holds no permission until it is reactivated."""
    principal = a_principal(roles=("admin",))
    principal.deactivate(LATER)
    while_inactive = principal.permissions(CATALOGUE)
    principal.reactivate(LATER)

    assert while_inactive == frozenset()
    assert "admin" in principal.permissions(CATALOGUE)
