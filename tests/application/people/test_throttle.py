"""Guessing is slowed down, and nobody is locked out by somebody else."""

from datetime import timedelta

import pytest

from application.people.throttle import LoginThrottle
from application.side_tables import SideTables
from tests.builders import NOON

HOME, AWAY = "203.0.113.7", "198.51.100.9"


async def fail(throttle: LoginThrottle, times: int, *, login: str = "alice", at: str = AWAY) -> int:
    """Fail so often, and return how long the next attempt has to wait."""
    for _ in range(times):
        await throttle.failed(login, address=at, now=NOON)
    return await throttle.seconds_to_wait(login, address=at, now=NOON)


@pytest.mark.parametrize(
    ("failures", "wait"), [(0, 0), (4, 0), (5, 5), (6, 10), (8, 40), (20, 900)]
)
async def test_waits_double(throttle: LoginThrottle, failures: int, wait: int) -> None:
    """Five failures are free; then the wait doubles up to a quarter of an hour."""
    assert await fail(throttle, failures) == wait


async def test_a_wait_passes(throttle: LoginThrottle) -> None:
    """What was waited counts, a success forgets, and so does an hour; a clock gone back does not
    lengthen it.
    """
    await fail(throttle, 7)
    at = {"address": AWAY}

    assert await throttle.seconds_to_wait("alice", **at, now=NOON + timedelta(seconds=15)) == 5
    assert await throttle.seconds_to_wait("alice", **at, now=NOON - timedelta(hours=2)) == 20
    assert await throttle.seconds_to_wait("alice", **at, now=NOON + timedelta(hours=2)) == 0
    await throttle.succeeded("alice", **at, now=NOON)
    assert await throttle.seconds_to_wait("alice", **at, now=NOON) == 0


async def test_nobody_is_locked_out(throttle: LoginThrottle) -> None:
    """However much others guess at an account, its own address has its free failures."""
    await throttle.succeeded("alice", address=HOME, now=NOON - timedelta(days=30))
    for number in range(40):
        await throttle.failed("alice", address=f"192.0.2.{number}", now=NOON)

    assert await fail(throttle, 4, at=HOME) == 0
    assert await fail(throttle, 0, at=AWAY) == 0
    assert await fail(throttle, 1, at=AWAY) > 0


async def test_one_address_over_many_accounts(throttle: LoginThrottle) -> None:
    """Fifty failures from one address make it wait for every account."""
    for number in range(50):
        await throttle.failed(f"account-{number}", address=AWAY, now=NOON)

    assert await throttle.seconds_to_wait("another", address=AWAY, now=NOON) == 5
    assert await throttle.seconds_to_wait("another", address=HOME, now=NOON) == 0


async def test_successes_are_no_failures(throttle: LoginThrottle) -> None:
    """However many people log in from one address, nobody waits for it."""
    for number in range(60):
        await throttle.failed(f"account-{number}", address=HOME, now=NOON)
        await throttle.succeeded(f"account-{number}", address=HOME, now=NOON)

    assert await fail(throttle, 4, at=HOME) == 0


async def test_the_table_names_nobody(throttle: LoginThrottle, tables: SideTables) -> None:
    """Neither login nor address is in the table, and what counts no more goes."""
    await throttle.failed("alice", address=AWAY, now=NOON)
    rows = await tables.ask("SELECT key FROM grantledger.login_failures", {})
    await throttle.sweep(now=NOON + timedelta(hours=2))

    assert len(rows) == 3
    assert all(len(bytes(key)) == 32 for (key,) in rows)
    assert await tables.ask("SELECT key FROM grantledger.login_failures", {}) == []
