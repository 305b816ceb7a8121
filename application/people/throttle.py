"""Guessing is slowed down, and nobody is locked out by the guesses of others.

An attempt is counted as failed before it is looked at, in the transaction that decides whether it
may be looked at: forty attempts at once are forty in a row. A success takes its attempt back. A
refused attempt is not counted, so that attempts during a wait do not prolong it.

1. A browser that logged this account in within 90 days has a counter of its own: 5 failures are
   free, then each waits, 5 s doubling to 15 minutes. The guesses of strangers do not touch it,
   whatever address they share with it, and a stolen cookie does not guess freely. Once the counter
   is used up, the browser is a stranger like the others.
2. Strangers, per account and network: 5 failures are free, then each waits as above.
3. Strangers, per network over all accounts: 50 failures are free, then the same: one network that
   tries one password on everybody.
4. Per account over all networks nothing ever blocks: an attacker could lock its person out. But
   past 20 failures a network that never logged this account in has one free failure instead of
   five.
5. A success clears the counter of 1 or of 2, and takes its own attempt back from the others: an
   office behind one address is no attacker. Failures are forgotten after an hour without another.
6. Other guesses, at user codes or at the present password, have one counter for each guesser.

A network is that of api.client_network: an IPv6 subscriber is one. Keys are MACs under the pepper:
the table tells neither accounts nor networks nor browsers.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from application.people.credentials import normal_login
from application.secret_keys import Peppers
from application.side_tables import SideTables

FREE, FREE_OF_NETWORK, FREE_OF_STRANGER = 5, 50, 1
WATCHED_FROM = 20
FIRST_WAIT, LONGEST_WAIT = 5, 900
FORGOTTEN = timedelta(hours=1)
KNOWN_FOR = timedelta(days=90)
_AT_ONCE = 2
"""Transactions of this process: a flood at one account must leave connections to the others."""

# Locks the counters, in one order for everybody: whoever comes at the same moment waits here.
_LOCK = """
INSERT INTO grantledger.login_failures AS known (key, failures, last_at)
SELECT key, 0, %(now)s FROM unnest(%(keys)s::bytea[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET last_at = known.last_at
RETURNING key, CASE WHEN last_at < %(forgotten)s THEN 0 ELSE failures END, last_at"""
_COUNT = """
UPDATE grantledger.login_failures SET
failures = CASE WHEN last_at < %(forgotten)s THEN 1 ELSE failures + 1 END,
last_at = greatest(last_at, %(now)s)
WHERE key = ANY(%(keys)s)"""
_LOCK_COUNTED = """
SELECT FROM grantledger.login_failures WHERE key = ANY(%(keys)s) ORDER BY key FOR UPDATE"""
_TAKE_BACK = """
WITH gone AS (DELETE FROM grantledger.login_failures
WHERE key = ANY(%(cleared)s) OR (key = ANY(%(counted)s) AND failures <= 1))
UPDATE grantledger.login_failures SET failures = failures - 1
WHERE key = ANY(%(counted)s) AND failures > 1"""
_KNOW = """
INSERT INTO grantledger.login_failures (key, failures, last_at)
SELECT key, 0, %(now)s FROM unnest(%(known)s::bytea[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at"""
_KNOWN = """
SELECT key FROM grantledger.login_failures WHERE key = ANY(%(keys)s) AND last_at > %(unknown)s"""
# What is locked is being counted at the moment: it is not old, and waiting for it could deadlock.
_SWEEP = """
DELETE FROM grantledger.login_failures WHERE key IN (
SELECT key FROM grantledger.login_failures
WHERE last_at < %(unknown)s OR (failures > 0 AND last_at < %(forgotten)s)
FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted, or has to `wait` so many seconds and was not.

    A success clears the counters `cleared`, takes one back from `counted`, and remembers `known`.
    """

    wait: int
    cleared: tuple[bytes, ...] = ()
    counted: tuple[bytes, ...] = ()
    known: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Count:
    failures: int
    last_at: datetime

    def wait(self, free: int, now: datetime) -> int:
        beyond = self.failures - free
        if beyond < 0:
            return 0
        pause = min(LONGEST_WAIT, FIRST_WAIT << min(beyond, 12))
        # A clock that stepped back must not make anybody wait longer than the pause.
        passed = max(timedelta(0), now - self.last_at)
        return max(0, pause - int(passed.total_seconds()))


class LoginThrottle:
    """Counts failed guesses over all processes. Every method raises LedgerUnavailable."""

    def __init__(self, tables: SideTables, peppers: Peppers) -> None:
        self._tables = tables
        self._peppers = peppers
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def admit_known(self, login: str, *, browser: str, now: datetime) -> Attempt | None:
        """1. Return the attempt of a browser that is known to log this account in; None for any
        other, and for one whose own failures are used up.
        """
        account, place = _bytes(login), browser.encode()
        known, own = self._key(b"known browser", account, place), self._key(b"own", account, place)
        if not await self._known(known, now):
            return None
        wait = await self._count({own: FREE}, now)
        return None if wait else Attempt(0, cleared=(own,), known=(known,))

    async def admit_stranger(
        self, login: str, *, network: str, browser: str, now: datetime
    ) -> Attempt:
        """2, 3, 4. Return the attempt of any browser."""
        account, place = _bytes(login), network.encode()
        pair, known = self._key(b"pair", account, place), self._key(b"known", account, place)
        over_all, network_key = self._key(b"account", account), self._key(b"address", place)
        free = {pair: FREE, network_key: FREE_OF_NETWORK, over_all: None}
        watched = None if await self._known(known, now) else (over_all, pair)
        return Attempt(
            await self._count(free, now, watched=watched),
            cleared=(pair,),
            counted=(network_key, over_all),
            known=(known, self._key(b"known browser", account, browser.encode())),
        )

    async def admit(self, what: str, who: str, *, now: datetime) -> Attempt:
        """6. Return the attempt of the guesser `who` at a secret of the kind `what`.

        A success clears nothing: who has a user code of their own could guess at others for ever.
        """
        key = self._key(b"guess", what.encode(), who.encode())
        return Attempt(await self._count({key: FREE}, now), counted=(key,))

    async def succeeded(self, attempt: Attempt, *, now: datetime) -> None:
        """5. Take back an attempt, and know from now on where it came from."""
        keys = sorted((*attempt.cleared, *attempt.counted))
        given = {"cleared": list(attempt.cleared), "counted": list(attempt.counted)}
        async with self._room, self._tables.connection() as connection, connection.transaction():
            await connection.execute(_LOCK_COUNTED, {"keys": keys})
            await connection.execute(_TAKE_BACK, given)
            await connection.execute(_KNOW, {"known": list(attempt.known), "now": now})

    async def knows(self, browser: str, *, now: datetime) -> bool:
        """Tell whether somebody logged in with this browser, by whatever means."""
        return await self._known(self._key(b"logged in", browser.encode()), now)

    async def remember(self, browser: str, *, now: datetime) -> None:
        """Know a browser from now on: somebody logged in with it."""
        key = self._key(b"logged in", browser.encode())
        await self._tables.ask(_KNOW, {"known": [key], "now": now})

    async def sweep(self, *, now: datetime) -> None:
        """Remove what counts no more."""
        given = {"unknown": now - KNOWN_FOR, "forgotten": now - FORGOTTEN}
        await self._tables.ask(_SWEEP, given)

    async def _known(self, key: bytes, now: datetime) -> bool:
        given = {"keys": [key], "unknown": now - KNOWN_FOR}
        return bool(await self._tables.ask(_KNOWN, given))

    async def _count(
        self,
        free: Mapping[bytes, int | None],
        now: datetime,
        *,
        watched: tuple[bytes, bytes] | None = None,
    ) -> int:
        """Count an attempt in each counter, or return how many seconds it has to wait.

        `free` says how many failures wait for nothing, None for a counter that never blocks.
        `watched` are the counter that says whether an account is under attack, and the one that
        has FREE_OF_STRANGER then.
        """
        given = {"keys": sorted(free), "now": now, "forgotten": now - FORGOTTEN}
        async with (
            self._room,
            self._tables.connection() as connection,
            connection.transaction() as unit,
        ):
            cursor = await connection.execute(_LOCK, given)
            counts = {bytes(key): _Count(*rest) for key, *rest in await cursor.fetchall()}
            limits = dict(free)
            if watched is not None and counts[watched[0]].failures >= WATCHED_FROM:
                limits[watched[1]] = FREE_OF_STRANGER
            wait = max(
                counts[key].wait(limit, now) for key, limit in limits.items() if limit is not None
            )
            if wait:
                raise psycopg.Rollback(unit)
            await connection.execute(_COUNT, given)
        return wait

    def _key(self, *parts: bytes) -> bytes:
        # Each part behind its length: no two accounts and networks run together into one key.
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return self._peppers.mac(self._peppers.current.key_id, b"throttle\0" + framed)


def _bytes(login: str) -> bytes:
    return normal_login(login).encode()
