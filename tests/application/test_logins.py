"""What a session allows, by how long ago its person proved itself."""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from application.derived_tokens import TokenKind
from application.errors import AccessDenied
from application.ledger.errors import EndAnnounced
from application.logins import (
    RECENT,
    logged_in,
    require_recent,
    session_cookie,
    session_of,
)
from application.secret_keys import SecretKey
from domain.session import MOST_AUTHORIZED, Authorized
from tests.application.service import OLD_PEPPER, PEPPER, FakeService, context
from tests.builders import AT_NOON, NOON, a_principal, a_session, later


def test_a_recent_login_is_enough() -> None:
    """To the last second of the quarter of an hour."""
    require_recent(a_session(), NOON + RECENT)


def test_an_old_login_is_not() -> None:
    """A cookie that was stolen later adds no passkey and no password."""
    with pytest.raises(AccessDenied, match="log in again first"):
        require_recent(a_session(), NOON + RECENT + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("grants", "same"), [(MOST_AUTHORIZED - 1, True), (MOST_AUTHORIZED, False)]
)
async def test_a_login_in_a_full_session_ends_it_and_begins_another(
    service: FakeService, grants: int, same: bool
) -> None:
    """One session goes on with every login of its person, as long as it has room for grants."""
    present = a_session()
    for number in range(grants):
        given = Authorized("shop", None, str(UUID(int=number)), NOON + timedelta(hours=1))
        present.authorize(given, AT_NOON)
    service.log.record(present)

    session = await logged_in("alice", ("pwd",), present, context=context(NOON), service=service)

    assert (session.id == present.id) is same
    assert session.authorized == (present.authorized if same else ())
    # What is in it would outlive the logout from the new one.
    assert service.log.folded(present.id).ended is not same


@pytest.mark.parametrize("grants", [0, MOST_AUTHORIZED])
async def test_a_login_of_somebody_else_ends_the_session_that_was_there(
    service: FakeService, grants: int
) -> None:
    """Its cookie is gone from the browser of another person: nobody could log out of it any more,
    and what it granted would go on.
    """
    present = a_session()
    for number in range(grants):
        given = Authorized("shop", None, str(UUID(int=number)), NOON + timedelta(hours=1))
        present.authorize(given, AT_NOON)
    service.log.record(present)

    session = await logged_in("bob", ("pwd",), present, context=context(NOON), service=service)

    assert (session.subject, session.authorized) == ("bob", ())
    assert session.id != present.id
    left = service.log.folded(present.id)
    assert (left.subject, left.logins, left.ended) == ("alice", 1, True)


async def test_a_login_voids_the_cookie_against_a_storm(service: FakeService) -> None:
    """Whoever copied the cookie does not keep it by using the session before each try of a new
    login: that goes on in the session, and has another cookie.
    """
    service.log.record(a_principal("alice"))
    present = a_session()
    service.log.record(present)
    copied = session_cookie(present, service)
    written = 0

    def write() -> None:
        nonlocal written
        service.log.meanwhile = write
        held = service.log.folded(present.id)
        given = Authorized("shop", None, str(UUID(int=written)), NOON + timedelta(hours=1))
        held.authorize(given, AT_NOON)
        with suppress(EndAnnounced):
            service.log.record(held)
            written += 1

    service.log.meanwhile = write
    session = await logged_in("alice", ("pwd",), present, context=context(NOON), service=service)
    service.log.meanwhile = None

    assert (session.id, session.logins, written) == (present.id, 2, 1)
    assert await session_of(copied, now=NOON, service=service) is None
    assert await session_of(session_cookie(session, service), now=NOON, service=service)
    assert service.log.announced == {}


async def test_a_login_in_a_session_that_ended_meanwhile(service: FakeService) -> None:
    """It begins another session."""
    present = a_session()
    service.log.record(present)
    stale = service.log.folded(present.id)
    present.end(by="alice", reason="logged out", provenance=AT_NOON)
    service.log.record(present)

    session = await logged_in("alice", ("pwd",), stale, context=context(NOON), service=service)

    assert session.id != present.id


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        (NOON - timedelta(hours=8), NOON - timedelta(hours=8)),
        (NOON + timedelta(minutes=1), NOON),
        (None, NOON),
    ],
)
async def test_the_moment_of_a_login_elsewhere_is_kept(
    service: FakeService, again: bool, moment: datetime | None, kept: datetime
) -> None:
    """A login of eight hours ago at the provider is one of eight hours ago here; a clock that runs
    ahead makes none of the future.
    """
    present = None
    if again:
        present = a_session()
        service.log.record(present)
    session = await logged_in(
        "alice",
        ("fed",),
        present,
        context=context(NOON),
        service=service,
        authenticated_at=moment,
    )

    assert session.authenticated_at == kept
    assert service.log.folded(session.id).authenticated_at == kept
    assert (session.expires_at - NOON) == service.session_lifetime
    if kept < NOON:
        with pytest.raises(AccessDenied):
            require_recent(session, NOON)


async def test_a_cookie_under_a_demoted_pepper_is_none_of_a_later_login(
    service: FakeService,
) -> None:
    """A thief of the demoted pepper forges no cookie of a session that was begun, or logged in to
    again, under the new one; the session's own cookie works.
    """
    service.log.record(a_principal("alice"))
    session = await logged_in("alice", ("pwd",), None, context=context(NOON), service=service)
    later_session = await logged_in(
        "alice", ("pwd",), session, context=context(NOON), service=service
    )

    def cookie(pepper: SecretKey) -> str:
        return service.derived.derive(
            TokenKind.SESSION,
            later_session.id,
            generation=later_session.logins,
            pepper_id=pepper.key_id,
        )

    forged = await session_of(cookie(OLD_PEPPER), now=NOON, service=service)
    own = await session_of(session_cookie(later_session, service), now=NOON, service=service)

    assert forged is None
    assert own is not None
    assert (own.id, own.pepper_id, own.logins) == (session.id, PEPPER.key_id, 2)


@pytest.mark.parametrize("version", [1, None], ids=["of the principal", "not known"])
async def test_a_session_of_before_a_deactivation(
    service: FakeService, version: int | None
) -> None:
    """A reactivation does not bring a login back, not even one of before sessions named the version
    of their principal; a login after it counts.
    """
    alice = a_principal("alice")
    session = a_session(subject_version=version)
    service.log.record(alice, session)
    alice.deactivate(later(1))
    alice.reactivate(later(2))
    service.log.record(alice)
    at = later(3).occurred_at
    fresh = await logged_in("alice", ("pwd",), None, context=context(at), service=service)
    before, after = [
        await session_of(session_cookie(one, service), now=at, service=service)
        for one in (session, fresh)
    ]

    assert before is None
    assert after is not None
