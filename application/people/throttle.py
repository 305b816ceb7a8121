"""Guessing is slowed down, and nobody can be locked out by somebody else's guesses.

1. Per account and address: 5 failures are free, then each waits, 5 s doubling to 15 minutes.
2. Per address over all accounts: 50 failures are free, then the same: one address that tries one
   password on everybody.
3. Per account over all addresses nothing ever blocks: an attacker could lock its person out. But
   past 20 failures an address that never logged this account in has one free failure instead of
   five. One that did, within 90 days, keeps its five: its person's own devices go on as usual.
4. A success forgets the failures of its account and address, and takes back its own attempt from
   the counts over all: an office behind one address is no attacker. Failures are forgotten after
   an hour without another.

Keys are MACs under the pepper: the table tells neither accounts nor addresses.
"""

from datetime import datetime, timedelta

from application.people.credentials import normal_login
from application.secret_keys import Peppers
from application.side_tables import SideTables

FREE, FREE_OF_ADDRESS, FREE_OF_STRANGER = 5, 50, 1
WATCHED_FROM = 20
FIRST_WAIT, LONGEST_WAIT = 5, 900
FORGOTTEN = timedelta(hours=1)
KNOWN_FOR = timedelta(days=90)

_READ = """
SELECT key, failures, last_at FROM grantledger.login_failures WHERE key = ANY(%(keys)s)"""
_FAILED = """
INSERT INTO grantledger.login_failures AS known (key, failures, last_at)
SELECT key, 1, %(now)s FROM unnest(%(keys)s::bytea[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET last_at = greatest(known.last_at, excluded.last_at),
failures = CASE WHEN known.last_at < %(forgotten)s THEN 1 ELSE known.failures + 1 END"""
_SUCCEEDED = """
WITH forgotten AS (DELETE FROM grantledger.login_failures WHERE key = %(pair)s),
taken_back AS (UPDATE grantledger.login_failures SET failures = greatest(0, failures - 1)
WHERE key = ANY(%(over_all)s))
INSERT INTO grantledger.login_failures (key, failures, last_at) VALUES (%(known)s, 0, %(now)s)
ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at"""
_SWEEP = """
DELETE FROM grantledger.login_failures
WHERE last_at < %(unknown)s OR (failures > 0 AND last_at < %(forgotten)s)"""


class LoginThrottle:
    """Counts failed logins over all processes."""

    def __init__(self, tables: SideTables, peppers: Peppers) -> None:
        self._tables = tables
        self._peppers = peppers

    async def seconds_to_wait(self, login: str, *, address: str, now: datetime) -> int:
        """Return how long this attempt has to wait, 0 for not at all. Raises LedgerUnavailable."""
        pair, account, place, known = self._keys(login, address)
        rows = await self._tables.ask(_READ, {"keys": [pair, account, place, known]})
        found = {bytes(key): (int(failures), last_at) for key, failures, last_at in rows}

        def failures(key: bytes) -> int:
            count, last_at = found.get(key, (0, now))
            return count if now - last_at < FORGOTTEN else 0

        def wait(key: bytes, free: int) -> int:
            beyond = failures(key) - free
            if beyond < 0:
                return 0
            pause = min(LONGEST_WAIT, FIRST_WAIT << min(beyond, 12))
            # A clock that stepped back must not make anybody wait longer than the pause.
            passed = max(timedelta(0), now - found[key][1])
            return max(0, pause - int(passed.total_seconds()))

        stranger = failures(account) >= WATCHED_FROM and not (
            known in found and now - found[known][1] < KNOWN_FOR
        )
        return max(wait(pair, FREE_OF_STRANGER if stranger else FREE), wait(place, FREE_OF_ADDRESS))

    async def failed(self, login: str, *, address: str, now: datetime) -> None:
        """Count an attempt as failed; `succeeded` takes it back. Raises LedgerUnavailable."""
        pair, account, place, _ = self._keys(login, address)
        given = {"keys": [pair, account, place], "now": now, "forgotten": now - FORGOTTEN}
        await self._tables.ask(_FAILED, given)

    async def succeeded(self, login: str, *, address: str, now: datetime) -> None:
        """Remember that this address logs this account in. Raises LedgerUnavailable."""
        pair, account, place, known = self._keys(login, address)
        given = {"pair": pair, "over_all": [account, place], "known": known, "now": now}
        await self._tables.ask(_SUCCEEDED, given)

    async def sweep(self, *, now: datetime) -> None:
        """Remove what counts no more. Raises LedgerUnavailable."""
        given = {"unknown": now - KNOWN_FOR, "forgotten": now - FORGOTTEN}
        await self._tables.ask(_SWEEP, given)

    def _keys(self, login: str, address: str) -> tuple[bytes, bytes, bytes, bytes]:
        account, place = normal_login(login).encode(), address.encode()
        return (
            self._key(b"pair", account, place),
            self._key(b"account", account),
            self._key(b"address", place),
            self._key(b"known", account, place),
        )

    def _key(self, *parts: bytes) -> bytes:
        # Each part behind its length: no two accounts and addresses run together into one key.
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return self._peppers.mac(self._peppers.current.key_id, b"throttle\0" + framed)
