"""What a session allows, by how long ago its person proved itself."""

from datetime import timedelta

import pytest

from application.errors import AccessDenied
from application.logins import RECENT, require_recent
from domain.session import Session
from tests.application.service import ORIGIN
from tests.builders import AT_NOON, NOON, stream_id


def a_session() -> Session:
    """Return a session of noon."""
    return Session.start(
        stream_id(NOON),
        subject="alice",
        methods=("pwd",),
        lifetime=timedelta(hours=12),
        origin=ORIGIN,
        provenance=AT_NOON,
    )


def test_a_recent_login_is_enough() -> None:
    """To the last second of the quarter of an hour."""
    require_recent(a_session(), NOON + RECENT)


def test_an_old_login_is_not() -> None:
    """A cookie that was stolen later adds no passkey and no password."""
    with pytest.raises(AccessDenied, match="log out and in again first"):
        require_recent(a_session(), NOON + RECENT + timedelta(seconds=1))
