"""By what people prove who they are: the tables `logins`, `passwords` and `passkeys`.

Outside the log on purpose: a login name is personal data, and all of it must be able to go. What
happened to them is on the principal's stream.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from application.side_tables import SideTables

MAX_LOGIN_CHARACTERS = 200
MOST_PASSKEYS = 20
UPSTREAM_PREFIX = "upstream:"
"""What the keys of upstream identities begin with (application.people.upstream)."""

_SUBJECT_OF = "SELECT subject FROM grantledger.logins WHERE login = %(login)s"
# Upstream identities lie here as well, hashed: they are no names to show.
_LOGINS_OF = """
SELECT login FROM grantledger.logins
WHERE subject = %(subject)s AND login NOT LIKE 'upstream:%%' ORDER BY login"""
_ADD_LOGIN = """
INSERT INTO grantledger.logins (login, subject) VALUES (%(login)s, %(subject)s)
ON CONFLICT (login) DO UPDATE SET login = excluded.login RETURNING subject"""
_KEEP_HASH = """
INSERT INTO grantledger.passwords (subject, hash, pepper_id, set_at)
VALUES (%(subject)s, %(hash)s, %(pepper_id)s, %(now)s)
ON CONFLICT (subject) DO UPDATE
SET hash = excluded.hash, pepper_id = excluded.pepper_id, set_at = excluded.set_at"""
_REPLACE_HASH = """
UPDATE grantledger.passwords
SET hash = %(hash)s, pepper_id = %(pepper_id)s, set_at = %(now)s
WHERE subject = %(subject)s AND set_at = %(present)s RETURNING true"""
_RENEW_HASH = """
UPDATE grantledger.passwords SET hash = %(hash)s, pepper_id = %(pepper_id)s
WHERE subject = %(subject)s AND hash = %(old)s"""
_HASH_OF = "SELECT hash, pepper_id, set_at FROM grantledger.passwords WHERE subject = %(subject)s"
# One after the other for each person: of two at once both would count the same number.
_IN_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('passkeys ' || %(subject)s, 0))"
_ADD_PASSKEY = """
INSERT INTO grantledger.passkeys
(credential_id, subject, public_key, sign_count, label, added_at)
SELECT %(credential_id)s, %(subject)s, %(public_key)s, %(sign_count)s, %(label)s, %(added_at)s
WHERE (SELECT count(*) FROM grantledger.passkeys WHERE subject = %(subject)s) < %(most)s
RETURNING true"""
_PASSKEYS_OF = """
SELECT credential_id, subject, public_key, sign_count, label, added_at FROM grantledger.passkeys
WHERE subject = %(subject)s ORDER BY added_at"""
_PASSKEY = """
SELECT credential_id, subject, public_key, sign_count, label, added_at FROM grantledger.passkeys
WHERE credential_id = %(credential_id)s"""
_COUNT_USE = """
UPDATE grantledger.passkeys SET sign_count = %(sign_count)s
WHERE credential_id = %(credential_id)s
AND (sign_count < %(sign_count)s OR (sign_count = 0 AND %(sign_count)s = 0)) RETURNING true"""
_REMOVE_PASSKEY = """
DELETE FROM grantledger.passkeys
WHERE credential_id = %(credential_id)s AND subject = %(subject)s RETURNING true"""
_FORGET = """
WITH l AS (DELETE FROM grantledger.logins WHERE subject = %(subject)s),
     p AS (DELETE FROM grantledger.passwords WHERE subject = %(subject)s)
DELETE FROM grantledger.passkeys WHERE subject = %(subject)s"""


class LoginTaken(Exception):
    """Somebody else logs in with this name."""


class PasskeyKnown(Exception):
    """The credential is registered already."""


class TooManyPasskeys(Exception):
    """The person has MOST_PASSKEYS already."""

    def __init__(self) -> None:
        super().__init__(f"a person has {MOST_PASSKEYS} passkeys at most")


@dataclass(frozen=True, slots=True)
class KeptPassword:
    """A password as the table has it: argon2id over its MAC under `pepper_id`."""

    hash: str = field(repr=False)
    pepper_id: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Passkey:
    """A WebAuthn credential; `label` is what its person calls it."""

    credential_id: bytes
    subject: str
    public_key: bytes = field(repr=False)
    sign_count: int
    label: str
    added_at: datetime


def normal_login(login: str) -> str:
    """Return a login name as it is compared: however it was typed, it is one name."""
    return unicodedata.normalize("NFKC", login.strip()).casefold()[:MAX_LOGIN_CHARACTERS]


def is_internal(login: str) -> bool:
    """Tell whether a name has the form of a key of ours that lies among the login names.

    A person with such a login name would be the one that the upstream identity logs in, and would
    be missing from every list of login names.
    """
    return normal_login(login).startswith(UPSTREAM_PREFIX)


class Credentials:
    """Reads and writes what people log in with. Every method raises LedgerUnavailable."""

    def __init__(self, tables: SideTables) -> None:
        self._tables = tables

    async def subject_of(self, login: str) -> str | None:
        """Return who logs in with this name, or None."""
        name = normal_login(login)
        # PostgreSQL takes no U+0000, and nobody has such a name.
        rows = [] if "\0" in name else await self._tables.ask(_SUBJECT_OF, {"login": name})
        return str(rows[0][0]) if rows else None

    async def logins_of(self, subject: str) -> list[str]:
        """Return the names that a person logs in with."""
        rows = await self._tables.ask(_LOGINS_OF, {"subject": subject})
        return [str(row[0]) for row in rows]

    async def add_login(self, login: str, *, subject: str) -> None:
        """Let a person log in with this name too. Raises LoginTaken where it is another's."""
        given = {"login": normal_login(login), "subject": subject}
        rows = await self._tables.ask(_ADD_LOGIN, given)
        if str(rows[0][0]) != subject:
            raise LoginTaken("the login name is taken")

    async def keep_password(
        self,
        subject: str,
        *,
        hashed: str,
        pepper_id: str,
        now: datetime,
    ) -> None:
        """Replace the password of a person."""
        given = {"subject": subject, "hash": hashed, "pepper_id": pepper_id, "now": now}
        await self._tables.ask(_KEEP_HASH, given)

    async def replace_password(
        self, subject: str, *, present: datetime, hashed: str, pepper_id: str, now: datetime
    ) -> bool:
        """Replace the password that was set at `present`; False where it is another by now."""
        given = {"subject": subject, "present": present, "now": now}
        return bool(
            await self._tables.ask(_REPLACE_HASH, {**given, "hash": hashed, "pepper_id": pepper_id})
        )

    async def renew_hash(self, subject: str, *, old: str, hashed: str, pepper_id: str) -> None:
        """Replace the hash `old` by another one of the same password, where it is there still."""
        given = {"subject": subject, "old": old, "hash": hashed, "pepper_id": pepper_id}
        await self._tables.ask(_RENEW_HASH, given)

    async def password_of(self, subject: str) -> KeptPassword | None:
        """Return the password of a person, or None."""
        rows = await self._tables.ask(_HASH_OF, {"subject": subject})
        return KeptPassword(*rows[0]) if rows else None

    async def add_passkey(self, passkey: Passkey) -> None:
        """Keep a new passkey. Raises PasskeyKnown, TooManyPasskeys."""
        given = {name: getattr(passkey, name) for name in Passkey.__slots__}
        try:
            async with self._tables.connection() as connection, connection.transaction():
                await connection.execute(_IN_TURN, given)
                cursor = await connection.execute(_ADD_PASSKEY, {**given, "most": MOST_PASSKEYS})
                added = await cursor.fetchall()
        except psycopg.IntegrityError:
            raise PasskeyKnown("the credential is registered already") from None
        if not added:
            raise TooManyPasskeys

    async def passkeys_of(self, subject: str) -> list[Passkey]:
        """Return the passkeys of a person, oldest first."""
        return _passkeys(await self._tables.ask(_PASSKEYS_OF, {"subject": subject}))

    async def passkey(self, credential_id: bytes) -> Passkey | None:
        """Return one passkey, or None."""
        found = _passkeys(await self._tables.ask(_PASSKEY, {"credential_id": credential_id}))
        return found[0] if found else None

    async def count_use(self, credential_id: bytes, sign_count: int) -> bool:
        """Keep the counter of a passkey; False where it does not grow, other than one that is not
        used. Of two uses at once with the same counter one fails.
        """
        given = {"credential_id": credential_id, "sign_count": sign_count}
        return bool(await self._tables.ask(_COUNT_USE, given))

    async def remove_passkey(self, credential_id: bytes, *, subject: str) -> bool:
        """Remove a passkey of a person; False where it has none such."""
        given = {"credential_id": credential_id, "subject": subject}
        return bool(await self._tables.ask(_REMOVE_PASSKEY, given))

    async def forget(self, subject: str) -> None:
        """Remove everything by which a person logs in."""
        await self._tables.ask(_FORGET, {"subject": subject})


def _passkeys(rows: Sequence[Any]) -> list[Passkey]:
    return [
        Passkey(bytes(id_), subject, bytes(key), count, label, added_at.astimezone(UTC))
        for id_, subject, key, count, label, added_at in rows
    ]
