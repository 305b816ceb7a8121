"""Administration of principals: known, given roles, deprived of their authority and back."""

from collections.abc import Awaitable, Callable

import pytest

from application.administration.principals import assign_roles, register, set_active
from application.errors import ConflictingState, InvalidRequest, NotFound, OAuthError
from domain.principal import Principal
from tests.application.service import FakeService
from tests.builders import AT_NOON, CATALOGUE, later

Act = Callable[[FakeService], Awaitable[Principal]]


def registering(subject: str, *roles: str) -> Act:
    """Return the act that makes a principal known."""
    return lambda service: register(subject, roles, service=service, provenance=AT_NOON)


def assigning(subject: str, *roles: str) -> Act:
    """Return the act that replaces the roles of a principal."""
    return lambda service: assign_roles(subject, roles, service=service, provenance=later(1))


def setting(subject: str, *, active: bool) -> Act:
    """Return the act that withdraws a principal's authority or gives it back."""
    return lambda service: set_active(subject, active=active, service=service, provenance=later(1))


async def test_registers(service: FakeService) -> None:
    """A new principal is known with its roles, and by whom it was registered."""
    principal = await registering("owner-1", "user")(service)
    (registered,) = service.log.events

    assert principal == service.directory.principal("owner-1")
    assert (registered.subject, registered.roles) == ("owner-1", ("user",))
    assert (registered.by, registered.why) == ("operator-1", "set up")


async def test_assigns_roles(service: FakeService) -> None:
    """New roles replace the old, and the permissions follow."""
    await registering("owner-1", "user")(service)

    principal = await assigning("owner-1", "anonymous")(service)

    assert principal.roles == ("anonymous",)
    assert principal.permissions(CATALOGUE) == {"anonymous"}
    assert service.directory.principal("owner-1") == principal


async def test_withdraws_and_gives_back(service: FakeService) -> None:
    """A deactivated principal holds nothing, a reactivated one what it held; doing so twice is
    recorded once.
    """
    await registering("owner-1", "user")(service)
    held = []
    for active in (False, False, True, True):
        principal = await setting("owner-1", active=active)(service)
        held.append(bool(principal.permissions(CATALOGUE)))

    assert held == [False, False, True, True]
    assert [type(event) for event in service.log.events[1:]] == [
        Principal.Deactivated,
        Principal.Reactivated,
    ]


UNKNOWN = "no such principal: nobody"
REFUSALS: tuple[tuple[str, Act, type[OAuthError], str], ...] = (
    (
        "known subject",
        registering("owner-1"),
        ConflictingState,
        "the principal owner-1 is registered already",
    ),
    ("no subject", registering(""), InvalidRequest, "a subject is required"),
    ("unknown role", registering("fresh", "root"), InvalidRequest, "unknown role: root"),
    ("unknown role assigned", assigning("owner-1", "root"), InvalidRequest, "unknown role: root"),
    ("roles for nobody", assigning("nobody", "user"), NotFound, UNKNOWN),
    ("nobody deactivated", setting("nobody", active=False), NotFound, UNKNOWN),
    ("nobody reactivated", setting("nobody", active=True), NotFound, UNKNOWN),
)


@pytest.mark.parametrize(
    ("act", "error", "text"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
async def test_refuses(service: FakeService, act: Act, error: type[OAuthError], text: str) -> None:
    """An act that breaks a rule gives its error and records nothing."""
    await registering("owner-1", "user")(service)
    with pytest.raises(OAuthError) as raised:
        await act(service)

    assert type(raised.value) is error
    assert raised.value.description == text
    assert len(service.log.units) == 1
