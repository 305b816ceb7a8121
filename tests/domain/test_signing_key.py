"""A signing key's life: every step that is allowed, and every one that is not."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import KeyStateError
from domain.signing_key import KeyState, SigningKey
from tests.builders import AT_NOON, NOON, PUBLIC_JWK, a_key, later
from tests.domain.given import Fact, events_of, fact, given

LATER = later(1)
UNTIL = NOON + timedelta(hours=2)
ID = {"kid": "key-1", "algorithm": "ES256"}


def activate(key: SigningKey) -> None:
    """Let the key sign."""
    key.activate(LATER)


def retire(key: SigningKey) -> None:
    """Stop signing with the key."""
    key.retire(verify_until=UNTIL, provenance=LATER)


def revoke(key: SigningKey) -> None:
    """Let the key vouch for nothing."""
    key.revoke(LATER)


GENERATED = events_of(a_key())
ACTIVE = events_of(a_key(), lambda key: key.activate(AT_NOON))
RETIRED = events_of(a_key(), lambda key: key.retire(verify_until=UNTIL, provenance=AT_NOON))
REVOKED = events_of(a_key(), lambda key: key.revoke(AT_NOON))
ACTIVATED_FACT = fact(SigningKey.Activated, **ID)
RETIRED_FACT = fact(SigningKey.Retired, **ID, verify_until=UNTIL)
REVOKED_FACT = fact(SigningKey.Revoked, **ID)


def test_generation() -> None:
    """A new key is published and does not sign yet."""
    key = (
        given()
        .when(lambda _: a_key())
        .then(fact(SigningKey.Generated, **ID, public_jwk=PUBLIC_JWK), at=AT_NOON)
    )

    assert key.id == SigningKey.stream("key-1")
    assert key.state is KeyState.GENERATED
    assert key.published(NOON)


@pytest.mark.parametrize(
    ("description", "events", "command", "expected", "state"),
    [
        ("generated to active", GENERATED, activate, ACTIVATED_FACT, KeyState.ACTIVE),
        ("generated to retired", GENERATED, retire, RETIRED_FACT, KeyState.RETIRED),
        ("active to retired", ACTIVE, retire, RETIRED_FACT, KeyState.RETIRED),
        ("generated to revoked", GENERATED, revoke, REVOKED_FACT, KeyState.REVOKED),
        ("active to revoked", ACTIVE, revoke, REVOKED_FACT, KeyState.REVOKED),
        ("retired to revoked", RETIRED, revoke, REVOKED_FACT, KeyState.REVOKED),
    ],
)
def test_steps(
    description: str,
    events: list[Any],
    command: Callable[[SigningKey], None],
    expected: Fact,
    state: KeyState,
) -> None:
    """Each allowed step is one fact and leads where the table says."""
    key = given(*events).when(command).then(expected, at=LATER)

    assert key.state is state


@pytest.mark.parametrize(
    ("description", "events", "command", "message"),
    [
        ("active again", ACTIVE, activate, "is active since 2026-03-03 12:00:00Z, not active"),
        ("back to active", RETIRED, activate, "is retired since 2026-03-03 12:00:00Z, not active"),
        ("retired again", RETIRED, retire, "is retired since 2026-03-03 12:00:00Z, not retired"),
        ("revoked again", REVOKED, revoke, "is revoked since 2026-03-03 12:00:00Z, not revoked"),
        (
            "back from revoked",
            REVOKED,
            activate,
            "is revoked since 2026-03-03 12:00:00Z, not active",
        ),
        (
            "retired after all",
            REVOKED,
            retire,
            "is revoked since 2026-03-03 12:00:00Z, not retired",
        ),
    ],
)
def test_refused_steps(
    description: str, events: list[Any], command: Callable[[SigningKey], None], message: str
) -> None:
    """A step that the table does not have is refused and records nothing."""
    given(*events).refuses(command, KeyStateError, f"key key-1 {message}")


def test_a_retired_key_is_published_until_its_end() -> None:
    """A retired key leaves the key set at the moment that its retirement named."""
    key = given(*ACTIVE).when(retire).then(RETIRED_FACT, at=LATER)
    published = [key.published(UNTIL - timedelta(microseconds=1)), key.published(UNTIL)]

    assert published == [True, False]


@pytest.mark.parametrize("events", [GENERATED, ACTIVE, RETIRED])
def test_a_revoked_key_leaves_the_key_set_at_once(events: list[Any]) -> None:
    """Whatever it was before, and however long a retirement had let it verify."""
    key = given(*events).when(revoke).then(REVOKED_FACT, at=LATER)

    assert not key.published(LATER.occurred_at)


def test_a_new_wrapping_changes_no_state() -> None:
    """A key that is encrypted anew signs on; the record says under which master key."""
    key = (
        given(*ACTIVE)
        .when(lambda key: key.rewrap(master_key_id="master-2", provenance=LATER))
        .then(fact(SigningKey.Rewrapped, **ID, master_key_id="master-2"), at=LATER)
    )

    assert key.state is KeyState.ACTIVE
