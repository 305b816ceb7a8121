"""What a session allows, by how long ago its person proved itself."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from application.errors import AccessDenied
from application.logins import RECENT, logged_in, require_recent
from domain.session import MOST_AUTHORIZED, Authorized
from tests.application.service import FakeService, context
from tests.builders import AT_NOON, NOON, a_session


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
