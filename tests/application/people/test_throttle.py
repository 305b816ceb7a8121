"""Guessing is slowed down, and nobody is locked out by somebody else."""

import asyncio
from datetime import datetime, timedelta

import pytest

from application.people.throttle import FREE, FREE_OF_NETWORK, LONGEST_WAIT, LoginThrottle
from application.secret_keys import Peppers
from application.side_tables import SideTables
from tests.builders import NOON

HOME, AWAY = "203.0.113.7", "198.51.100.9"
LAPTOP, OTHER = "browser-of-alice", "browser-of-nobody"
AT_ONCE = 40


async def guess(
    throttle: LoginThrottle,
    *,
    login: str = "alice",
    at: str = AWAY,
    browser: str = OTHER,
    now: datetime = NOON,
) -> int:
    """Guess once, as a browser that is known or not, and return how long that has to wait."""
    known = await throttle.admit_known(login, browser=browser, now=now)
    if known is not None:
        return known.wait
    return (await throttle.admit_stranger(login, network=at, browser=browser, now=now)).wait


async def log_in(
    throttle: LoginThrottle,
    *,
    login: str = "alice",
    at: str = HOME,
    browser: str = LAPTOP,
    now: datetime = NOON,
) -> None:
    """Log in with the right password."""
    attempt = await throttle.admit_known(login, browser=browser, now=now)
    if attempt is None:
        attempt = await throttle.admit_stranger(login, network=at, browser=browser, now=now)
    assert attempt.wait == 0
    await throttle.succeeded(attempt, now=now)


async def test_waits_double(throttle: LoginThrottle) -> None:
    """Five failures are free; then the wait doubles up to a quarter of an hour, and attempts in
    between do not prolong it.
    """
    waits, now = [], NOON
    for _ in range(14):
        wait = await guess(throttle, now=now)
        waits.append(wait)
        assert await guess(throttle, now=now) in (0, wait) or wait == 0
        now += timedelta(seconds=wait)
        if wait:
            assert await guess(throttle, now=now) == 0

    assert [wait for wait in waits if wait][:4] == [5, 10, 20, 40]
    assert max(waits) == LONGEST_WAIT


async def test_a_wait_passes(throttle: LoginThrottle) -> None:
    """What was waited counts, and an hour forgets; a clock gone back does not lengthen it."""
    assert [await guess(throttle) for _ in range(FREE + 1)] == [0] * FREE + [5]

    assert await guess(throttle, now=NOON + timedelta(seconds=3)) == 2
    assert await guess(throttle, now=NOON - timedelta(hours=2)) == 5
    assert await guess(throttle, now=NOON + timedelta(hours=2)) == 0


async def test_forty_at_once_are_forty_in_a_row(
    throttle: LoginThrottle, tables: SideTables, peppers: Peppers
) -> None:
    """Of guesses at the same moment in two processes no more are looked at than the free ones:
    counting and deciding are one.
    """
    other = LoginThrottle(tables, peppers)
    waits = await asyncio.gather(
        *(guess(throttle if number % 2 else other) for number in range(AT_ONCE))
    )

    assert sorted(waits) == [0] * FREE + [5] * (AT_ONCE - FREE)


async def test_guesses_at_other_secrets_at_once(throttle: LoginThrottle) -> None:
    """User codes and the present password: the same, and each guesser by itself."""
    attempts = await asyncio.gather(
        *(throttle.admit("user code", AWAY, now=NOON) for _ in range(AT_ONCE))
    )

    assert sorted(one.wait for one in attempts) == [0] * FREE + [5] * (AT_ONCE - FREE)
    assert (await throttle.admit("user code", HOME, now=NOON)).wait == 0
    assert (await throttle.admit("present password", AWAY, now=NOON)).wait == 0


async def test_a_right_guess_frees_no_others(throttle: LoginThrottle) -> None:
    """Who has a user code of its own takes back that attempt, and no wrong ones before it."""
    for _ in range(FREE - 1):
        await throttle.admit("user code", AWAY, now=NOON)
    right = await throttle.admit("user code", AWAY, now=NOON)
    await throttle.succeeded(right, now=NOON)

    assert (await throttle.admit("user code", AWAY, now=NOON)).wait == 0
    assert (await throttle.admit("user code", AWAY, now=NOON)).wait == 5


async def test_nobody_is_locked_out(throttle: LoginThrottle) -> None:
    """However much others guess at an account, from its own address too, its own browser has its
    free failures.
    """
    await log_in(throttle, now=NOON - timedelta(days=30))
    for number in range(40):
        await guess(throttle, at=f"192.0.2.{number}")
    for number in range(FREE_OF_NETWORK + 20):
        await guess(throttle, at=HOME, login=f"account-{number}")
    for _ in range(10):
        await guess(throttle, at=HOME)

    assert await guess(throttle, at=HOME) > 0
    assert await guess(throttle, at=HOME, browser=LAPTOP) == 0
    await log_in(throttle)
    assert await guess(throttle, at=AWAY, browser=LAPTOP) == 0


async def test_a_stranger_is_watched(throttle: LoginThrottle) -> None:
    """Past twenty failures over all networks one that never logged the account in has one free
    failure; one that did keeps its five.
    """
    await log_in(throttle, now=NOON - timedelta(days=30))
    for number in range(20):
        await guess(throttle, at=f"192.0.2.{number}")

    assert [await guess(throttle, at=AWAY) for _ in range(2)] == [0, 5]
    assert [await guess(throttle, at=HOME) for _ in range(FREE)] == [0] * FREE


async def test_a_stolen_cookie_does_not_guess_freely(throttle: LoginThrottle) -> None:
    """A known browser has its own five; then it is a stranger, whatever address it comes from."""
    await log_in(throttle)
    own = [await throttle.admit_known("alice", browser=LAPTOP, now=NOON) for _ in range(AT_ONCE)]

    assert sum(attempt is not None for attempt in own) == FREE
    assert [await guess(throttle, browser=LAPTOP) for _ in range(FREE + 1)] == [0] * FREE + [5]
    # It is known for one account, and says nothing about others.
    assert await throttle.admit_known("bob", browser=LAPTOP, now=NOON) is None


async def test_a_browser_is_forgotten(throttle: LoginThrottle) -> None:
    """After 90 days without a login a browser is a stranger, and a failure does not forget it."""
    await log_in(throttle)
    await guess(throttle, browser=LAPTOP)
    later = NOON + timedelta(days=89)
    await throttle.sweep(now=later)

    assert await throttle.admit_known("alice", browser=LAPTOP, now=later) is not None
    later += timedelta(days=2)
    assert await throttle.admit_known("alice", browser=LAPTOP, now=later) is None


async def test_one_address_over_many_accounts(throttle: LoginThrottle) -> None:
    """Fifty failures from one network make strangers there wait for every account."""
    for number in range(FREE_OF_NETWORK):
        await guess(throttle, login=f"account-{number}")

    assert await guess(throttle, login="another") == 5
    assert await guess(throttle, login="another", at=HOME) == 0


async def test_successes_are_no_failures(throttle: LoginThrottle) -> None:
    """However many people log in from one address, nobody waits for it."""
    for number in range(60):
        await log_in(throttle, login=f"account-{number}", browser=f"browser-{number}")

    assert [await guess(throttle, at=HOME) for _ in range(FREE)] == [0] * FREE


async def test_a_success_forgets(throttle: LoginThrottle) -> None:
    """Who logs in has its free failures again."""
    for _ in range(FREE - 1):
        await guess(throttle, at=HOME)
    await log_in(throttle, browser=OTHER)

    assert [await guess(throttle, at=HOME, browser="new") for _ in range(FREE)] == [0] * FREE


async def test_logins_at_once_do_not_deadlock(throttle: LoginThrottle) -> None:
    """Attempts and successes of one network lock the same counters in one order."""

    async def one(number: int) -> None:
        await log_in(throttle, login=f"account-{number % 12}", browser=f"browser-{number}")
        await guess(throttle, login=f"account-{number % 12}", at=HOME)

    await asyncio.wait_for(asyncio.gather(*map(one, range(24))), timeout=60)


async def test_the_table_names_nobody(throttle: LoginThrottle, tables: SideTables) -> None:
    """Neither login nor address is in the table, a refusal leaves nothing in it, and what counts no
    more goes.
    """
    for _ in range(FREE + 3):
        await guess(throttle)
    rows = await tables.ask("SELECT key, failures FROM grantledger.login_failures", {})
    await throttle.sweep(now=NOON + timedelta(hours=2))

    assert [failures for _, failures in rows] == [FREE] * 3
    assert all(len(bytes(key)) == 32 for key, _ in rows)
    assert await tables.ask("SELECT key FROM grantledger.login_failures", {}) == []


@pytest.mark.parametrize("login", ["alice", " ALICE "])
async def test_a_name_is_one_however_it_is_typed(throttle: LoginThrottle, login: str) -> None:
    """Another spelling of the name is no other account."""
    for _ in range(FREE):
        await guess(throttle)

    assert await guess(throttle, login=login) == 5
