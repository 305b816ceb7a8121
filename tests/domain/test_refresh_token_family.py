"""The state table of the family, row by row, and what each of its events carries."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest

from domain.errors import GrantNotUsable, TooManyAlive
from domain.provenance import Origin, Provenance
from domain.refresh_token_family import (
    MOST_ALIVE,
    FamilyTerms,
    IssuedToken,
    RefreshTokenFamily,
    Use,
)
from tests.builders import NOON, stream_id

ORIGIN = Origin(address="address-hash", user_agent="agent-hash")


def at(seconds: float) -> Provenance:
    """Return the circumstances of an act so many seconds after noon."""
    return Provenance(NOON + timedelta(seconds=seconds), "req_1")


def issued(jti: str, *, until: float = 3600) -> IssuedToken:
    """Return an access token that ends so many seconds after noon."""
    return IssuedToken(jti, NOON + timedelta(seconds=until))


NEXT = issued("jti-next")


def a_family(*, grace: int = 10, rotated_at: tuple[float, ...] = ()) -> RefreshTokenFamily:
    """Return a family of noon that was rotated at these seconds after it."""
    terms = FamilyTerms(
        client_id="shop",
        subject="alice",
        session_id="sess_1",
        scope=("user",),
        audience=(),
        authenticated_at=NOON,
        lifetime=1000,
        idle_lifetime=300,
        grace=grace,
    )
    family = RefreshTokenFamily.start(
        stream_id(NOON), terms, pepper_id="pepper-1", token=issued("jti-1"), provenance=at(0)
    )
    for number, moment in enumerate(rotated_at, start=2):
        family.rotate(pepper_id="pepper-1", token=issued(f"jti-{number}"), provenance=at(moment))
    return family


# rotations, grace, presented, seconds after noon, meaning
TABLE = [
    ("the first generation", (), 10, 1, 0, Use.ROTATE),
    ("current", (100,), 10, 2, 100, Use.ROTATE),
    ("predecessor at once", (100,), 10, 1, 100, Use.RETRY),
    ("predecessor at the end of the window", (100,), 10, 1, 110, Use.RETRY),
    ("predecessor after the window", (100,), 10, 1, 110.001, Use.REUSE),
    ("predecessor, clock gone back", (100,), 10, 1, 50, Use.RETRY),
    ("predecessor without a window", (100,), 0, 1, 100, Use.REUSE),
    ("older, at once", (100, 101), 10, 1, 101, Use.REUSE),
    ("older, overtaken on its way", (100, 101), 10, 1, 99.9, Use.LATE),
    ("older, from before any way", (200, 201), 10, 1, 150, Use.REUSE),
    ("predecessor overtaken, no window", (100,), 0, 1, 99.9, Use.LATE),
    ("one never issued", (100,), 10, 3, 100, Use.REUSE),
    ("zero", (), 10, 0, 0, Use.REUSE),
    ("idle for too long", (), 10, 1, 300, Use.EXPIRED),
    ("kept alive by a rotation", (299,), 10, 2, 598, Use.ROTATE),
    ("at its absolute end", (299, 598, 897), 10, 4, 1000, Use.EXPIRED),
    ("retired and expired", (100,), 10, 1, 400, Use.EXPIRED),
]


@pytest.mark.parametrize(
    ("case", "rotated_at", "grace", "presented", "seconds", "meaning"),
    TABLE,
    ids=[row[0] for row in TABLE],
)
def test_the_table(
    case: str,
    rotated_at: tuple[float, ...],
    grace: int,
    presented: int,
    seconds: float,
    meaning: Use,
) -> None:
    """Each row of the state table, at its edges."""
    family = a_family(grace=grace, rotated_at=rotated_at)

    assert family.meaning_of(presented, _moment(seconds)) is meaning


@pytest.mark.parametrize("presented", [1, 2, 3])
def test_a_revoked_family_gives_nothing(presented: int) -> None:
    """Once revoked, every generation is refused and nothing further happens."""
    family = a_family(rotated_at=(100,))
    family.revoke(by="alice", reason="logged out", provenance=at(101))
    before = family.version
    family.revoke(by="alice", reason="again", provenance=at(102))

    assert family.meaning_of(presented, _moment(102)) is Use.REVOKED
    assert family.version == before
    with pytest.raises(GrantNotUsable):
        family.rotate(pepper_id="pepper-1", token=issued("jti-9"), provenance=at(103))
    with pytest.raises(GrantNotUsable):
        family.retry(token=issued("jti-9"), provenance=at(103))
    with pytest.raises(GrantNotUsable):
        family.detect_reuse(1, origin=ORIGIN, provenance=at(103))


def test_reuse_names_every_living_token() -> None:
    """The evidence lists the access tokens that end with the family, retried ones too, and none
    that had ended by itself.
    """
    family = a_family()
    family.rotate(pepper_id="pepper-1", token=issued("short", until=150), provenance=at(100))
    family.retry(token=issued("retried"), provenance=at(101))
    family.rotate(pepper_id="pepper-1", token=issued("jti-3"), provenance=at(102))
    family.detect_reuse(1, origin=ORIGIN, provenance=at(200))
    (*_, evidence) = family.facts()

    assert isinstance(evidence, RefreshTokenFamily.ReuseDetected)
    assert evidence.tokens_revoked == ("jti-1", "retried", "jti-3")
    assert (evidence.presented, evidence.generation) == (1, 3)
    assert (evidence.address, evidence.client_id) == ("address-hash", "shop")


def test_a_long_life_keeps_no_dead_tokens() -> None:
    """What a family remembers is bounded by its tokens' lifetime, not by its own."""
    family = a_family()
    for number in range(1, 60):
        family.rotate(
            pepper_id="pepper-1",
            token=issued(f"token-{number}", until=number * 15 + 60),
            provenance=at(number * 15),
        )

    # The first token, of an hour, still lives; behind it only those of the last minute do.
    assert len(family.tokens_alive(_moment(59 * 15))) == 5
    assert len(family.retired) == 1


def test_a_copy_decides_for_itself() -> None:
    """A copy of an aggregate shares nothing that a decision changes."""
    family = a_family(rotated_at=(1,))
    copy = family.copied()
    copy.rotate(pepper_id="pepper-2", token=issued("jti-3"), provenance=at(2))

    assert (family.generation, copy.generation) == (2, 3)
    assert len(copy.facts()) == 1
    assert len(family.tokens) == 2


def _moment(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_use_leaves_the_generation_and_puts_off_the_idle_end() -> None:
    """Where refresh tokens stay the same, the current one is used again and again; what was retired
    before does not come back by it.
    """
    family = a_family(rotated_at=(100,))
    family.use(token=issued("jti-3"), provenance=at(390))

    assert family.generation == 2
    assert family.meaning_of(2, at(600).occurred_at) is Use.ROTATE
    assert family.meaning_of(1, at(391).occurred_at) is Use.REUSE
    assert family.expires_at == NOON + timedelta(seconds=690)
    assert [token.jti for token in family.tokens] == ["jti-1", "jti-2", "jti-3"]


def test_a_revoked_family_is_not_used() -> None:
    """Its end is its end, rotation or none."""
    family = a_family()
    family.revoke(by="alice", reason="logged out", provenance=at(1))

    with pytest.raises(GrantNotUsable):
        family.use(token=issued("jti-2"), provenance=at(2))


@pytest.mark.parametrize("how", ["rotate", "use", "retry"])
def test_so_many_tokens_of_a_family_work_at_once(how: str) -> None:
    """Whoever holds a refresh token cannot make more to revoke than one unit takes."""
    family = a_family()
    for number in range(2, MOST_ALIVE + 1):
        family.use(token=issued(f"jti-{number}", until=3600 + number), provenance=at(1))
    acts: dict[str, Callable[..., None]] = {
        "rotate": partial(family.rotate, pepper_id="pepper-1"),
        "use": family.use,
        "retry": family.retry,
    }
    family.facts()
    with pytest.raises(TooManyAlive) as refused:
        acts[how](token=NEXT, provenance=at(10.5))

    assert refused.value.seconds == 3590  # the first one lives 3600 seconds
    assert family.facts() == []


def test_there_is_room_again_when_a_token_has_ended() -> None:
    """Each that ends makes room for one."""
    family = a_family()
    for number in range(2, MOST_ALIVE + 1):
        family.use(
            token=issued(f"jti-{number}", until=100 if number == 2 else 3600), provenance=at(1)
        )
    family.use(token=NEXT, provenance=at(100))
    with pytest.raises(TooManyAlive):
        family.use(token=NEXT, provenance=at(100))

    assert len(family.tokens_alive(NOON + timedelta(seconds=100))) == MOST_ALIVE
