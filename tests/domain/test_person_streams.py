"""Codes, sessions, consents and devices: what may follow what, and what a second time does."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.authorization_code import AuthorizationCode, CodeTerms
from domain.consents import Consents
from domain.device_authorization import Approval, DeviceAuthorization
from domain.errors import GrantNotUsable
from domain.issuance import Narrowing
from domain.provenance import Origin, Provenance
from domain.session import MOST_AUTHORIZED, Authorized, Session
from tests.builders import AT_NOON, NOON, a_session, later, stream_id

ORIGIN = Origin(address="address-hash", user_agent="agent-hash")
SCOPE = Narrowing(("user",), (), ())


def a_code() -> AuthorizationCode:
    """Return a code of noon."""
    terms = CodeTerms(
        client_id="shop",
        subject="alice",
        session_id="sess_1",
        redirect_uri="https://client.example/callback",
        challenge="x" * 43,
        requested_scope=("user",),
        scope=SCOPE,
        resource=(),
        nonce=None,
        authenticated_at=NOON,
        methods=("pwd",),
    )
    return AuthorizationCode.issue(stream_id(NOON), terms, provenance=AT_NOON)


def a_device() -> DeviceAuthorization:
    """Return a device that asks at noon, for ten minutes."""
    return DeviceAuthorization.request(
        stream_id(NOON),
        client_id="tv",
        scope=("user",),
        resource=(),
        lifetime=timedelta(minutes=10),
        origin=ORIGIN,
        provenance=AT_NOON,
    )


def redeem(code: AuthorizationCode, at: Provenance = AT_NOON) -> None:
    """Redeem a code."""
    code.redeem(jti="jti-1", family_id=None, provenance=at)


def approve(device: DeviceAuthorization, at: Provenance = AT_NOON) -> None:
    """Approve a device."""
    device.approve(Approval("alice", "sess_1", SCOPE, NOON, ("pwd",)), at)


def deny(device: DeviceAuthorization) -> None:
    """Deny a device."""
    device.deny(subject="alice", session_id="sess_1", provenance=AT_NOON)


def use(device: DeviceAuthorization) -> None:
    """Redeem a device code."""
    device.redeem(session_id="sess_2", jti="jti-1", family_id=None, provenance=AT_NOON)


def after(begin: Callable[[], Any], *steps: Callable[[Any], object]) -> Any:
    """Return what `begin` gives once `steps` were taken."""
    aggregate = begin()
    for step in steps:
        step(aggregate)
    return aggregate


REFUSED: list[tuple[str, Any, Callable[[Any], object]]] = [
    ("a code twice", after(a_code, redeem), redeem),
    ("a code too late", a_code(), lambda c: redeem(c, later(1))),
    ("a replay of an unused code", a_code(), lambda c: c.replay(address="", provenance=AT_NOON)),
    ("an unapproved device", a_device(), use),
    ("a denied device", after(a_device, deny), use),
    ("a device twice", after(a_device, approve, use), use),
    ("approving twice", after(a_device, approve), approve),
    ("denying what was approved", after(a_device, approve), deny),
    ("approving too late", a_device(), lambda d: approve(d, later(10))),
    (
        "a client in an ended session",
        after(a_session, lambda s: s.end(by="alice", reason="", provenance=AT_NOON)),
        lambda s: s.authorize(Authorized("shop", None, "jti-1", NOON), AT_NOON),
    ),
    (
        "a login in an ended session",
        after(a_session, lambda s: s.end(by="alice", reason="", provenance=AT_NOON)),
        lambda s: s.authenticate_again(
            methods=("pwd",), lifetime=timedelta(hours=1), provenance=AT_NOON
        ),
    ),
]


@pytest.mark.parametrize(("case", "aggregate", "step"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_may_not_follow(case: str, aggregate: Any, step: Callable[[Any], object]) -> None:
    """A step that does not fit the state is refused and records nothing."""
    aggregate.facts()
    with pytest.raises(GrantNotUsable):
        step(aggregate)

    assert aggregate.facts() == []


def test_a_second_time_changes_nothing() -> None:
    """A replay, an end and a withdrawal happen once, however often they are asked for."""
    code = after(a_code, redeem)
    session = a_session(hours=1)
    consents = Consents.open("alice", provenance=AT_NOON)
    consents.give("shop", ("user",), session_id="sess_1", provenance=AT_NOON)
    for _ in range(2):
        code.replay(address="", provenance=AT_NOON)
        session.end(by="alice", reason="", provenance=AT_NOON)
        consents.withdraw("shop", provenance=AT_NOON)

    assert [len(one.facts()) for one in (code, session, consents)] == [3, 2, 3]


def test_consents_grow() -> None:
    """What was consented to before stays, and the same again is no new fact."""
    consents = Consents.open("alice", provenance=AT_NOON)
    for scope in (("user",), ("user", "mcp"), ("mcp",)):
        consents.give("shop", scope, session_id="sess_1", provenance=AT_NOON)

    assert consents.covers("shop", ("mcp", "user"))
    assert not consents.covers("shop", ("mcp", "admin"))
    assert not consents.covers("other", ("mcp",))
    assert len(consents.facts()) == 3


PLACE: dict[str, Any] = {
    "resource": ("https://a.example",),
    "redirect_target": "https://shop.example/callback",
}


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"resource": ("https://b.example",)},
        {"resource": ("https://a.example", "https://b.example")},
        {"resource": ()},
        {"redirect_target": "https://shop.example/other"},
        {"redirect_target": None},
    ],
)
def test_consent_is_to_places(elsewhere: dict[str, Any]) -> None:
    """Another resource or redirect target is consented to by itself; one withdrawal ends all."""
    consents = Consents.open("alice", provenance=AT_NOON)
    other = {**PLACE, **elsewhere}
    given: dict[str, Any] = {"session_id": "sess_1", "provenance": AT_NOON}
    consents.give("shop", ("user",), **given, **PLACE)
    before = consents.covers("shop", ("user",), **other)
    consents.give("shop", ("mcp",), **given, **other)

    assert not before
    assert consents.covers("shop", ("user",), **PLACE)
    assert not consents.covers("shop", ("mcp",), **PLACE)
    assert not consents.covers("shop", ("user",), **other)
    consents.withdraw("shop", provenance=AT_NOON)
    assert not consents.covers("shop", ("user",), **PLACE)
    assert not consents.covers("shop", ("mcp",), **other)
    withdrawn: Any = consents.facts()[-1]
    assert withdrawn.scope == ("user", "mcp")


def test_the_order_of_resources_is_no_other_place() -> None:
    """Named in another order, they are the same."""
    consents = Consents.open("alice", provenance=AT_NOON)
    consents.give("shop", ("user",), resource=("a", "b"), session_id="sess_1", provenance=AT_NOON)

    assert consents.covers("shop", ("user",), resource=("b", "a"))


def test_a_session_is_known_by_its_name() -> None:
    """Its stream is in its name; a login in it counts, and time ends it."""
    session = a_session(hours=1)
    session.authenticate_again(methods=("hwk",), lifetime=timedelta(hours=1), provenance=later(30))

    assert Session.stream(session.session_id) == session.id
    assert (session.logins, session.methods) == (2, ("hwk",))
    assert session.live(NOON + timedelta(minutes=89))
    assert not session.live(NOON + timedelta(minutes=90))
    for wrong in ("", "sess_", "sess_x", session.id.hex):
        with pytest.raises(ValueError, match=r"."):
            Session.stream(wrong)


def test_a_session_is_full_of_grants_that_work() -> None:
    """Those that have ended do not count; what it stands for otherwise does not change."""
    session = a_session(hours=1)
    for number in range(MOST_AUTHORIZED):
        until = NOON + timedelta(seconds=60 if number == 0 else 3600)
        assert not session.full(NOON)
        session.authorize(Authorized("shop", None, f"jti-{number}", until), AT_NOON)

    assert session.full(NOON)
    assert session.live(NOON)
    with pytest.raises(GrantNotUsable, match="session full"):
        session.authorize(Authorized("shop", None, "jti-more", NOON), AT_NOON)
    assert not session.full(NOON + timedelta(seconds=60))
