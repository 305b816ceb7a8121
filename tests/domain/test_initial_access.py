"""Leave to register clients: so many, until then, unless revoked."""

from datetime import timedelta

import pytest

from domain.client_configuration import ClientConfiguration, Registration
from domain.errors import GrantNotUsable, InvalidConfiguration
from domain.initial_access import MAX_USES, InitialAccess, KeptVerifier
from tests.builders import AT_NOON, NOON, later

KEPT = KeptVerifier("pepper-1", "0" * 64)


def a_leave(*, minutes: float = 10, max_uses: int = 2) -> InitialAccess:
    """Return a leave that was given at noon."""
    return InitialAccess.issue(
        "access-1",
        KEPT,
        expires_at=NOON + timedelta(minutes=minutes),
        max_uses=max_uses,
        provenance=AT_NOON,
    )


def test_uses_are_counted() -> None:
    """As many clients as were allowed, and no more."""
    leave = a_leave()
    leave.use("a", later(1))
    leave.use("b", later(2))
    with pytest.raises(GrantNotUsable, match="used up"):
        leave.use("c", later(3))

    assert leave.clients == ("a", "b")
    assert len(leave.facts()) == 3


@pytest.mark.parametrize(("minutes", "usable"), [(9.9, True), (10, False), (11, False)])
def test_it_ends(minutes: float, usable: bool) -> None:
    """At its end it is over."""
    leave = a_leave()
    if usable:
        leave.require_usable(later(minutes).occurred_at)
    else:
        with pytest.raises(GrantNotUsable, match="expired"):
            leave.use("a", later(minutes))


def test_it_is_revoked_once() -> None:
    """Nobody registers with it any more; a second time changes nothing."""
    leave = a_leave()
    leave.revoke(later(1))
    leave.revoke(later(2))
    with pytest.raises(GrantNotUsable, match="revoked"):
        leave.use("a", later(3))

    assert len(leave.facts()) == 2


@pytest.mark.parametrize(
    ("minutes", "max_uses"), [(0, 1), (-1, 1), (10, 0), (10, -1), (10, MAX_USES + 1)]
)
def test_what_is_of_no_use(minutes: float, max_uses: int) -> None:
    """A leave that nobody could use is not given, nor one without an end in sight."""
    with pytest.raises(InvalidConfiguration):
        a_leave(minutes=minutes, max_uses=max_uses)


def test_a_verifier_does_not_show() -> None:
    """Not even what is kept of a token is printed."""
    assert "000" not in repr(KEPT)


@pytest.mark.parametrize(
    ("client_id", "source", "good"),
    [
        ("demo", "administrator", True),
        ("dyn-1", "dynamic", True),
        ("https://app.example/app.json", "metadata_document", True),
        ("https://app.example/app.json", "administrator", False),
        ("https://app.example/app.json", "dynamic", False),
        ("https://app.example/a/../b", "administrator", False),
        ("https://app.example/a/../b", "metadata_document", False),
        ("demo", "metadata_document", False),
        ("http://app.example/app.json", "metadata_document", False),
    ],
)
def test_urls_name_clients_with_documents(client_id: str, source: str, good: bool) -> None:
    """Nobody else takes such a name, and such a client has no other."""
    facts = {
        "client_id": client_id,
        "registration": Registration.model_validate({"source": source}),
    }
    if good:
        assert ClientConfiguration.model_validate(facts).client_id == client_id
    else:
        with pytest.raises(ValueError, match="client_id"):
            ClientConfiguration.model_validate(facts)
