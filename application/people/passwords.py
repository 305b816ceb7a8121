"""Passwords of people: argon2id (RFC 9106, the low-memory profile) over a MAC under the pepper.

1. A leaked table alone cannot be guessed against: the pepper is elsewhere.
2. Nobody learns by the time which login names exist: where there is no password to compare with,
   the same work is done on a decoy.
3. Hashing runs in threads, two at a time: a flood of logins must not starve token requests.
4. Length is what counts (NIST SP 800-63B, Section 3.1.1.2): 12 to 1024 characters, no rules about
   kinds of characters.
"""

import asyncio
import base64
import hmac
import secrets
import unicodedata
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from application.people.credentials import Credentials, KeptPassword, normal_login
from application.secret_keys import Peppers, PresentedSecret

MIN_CHARACTERS = 12
MAX_CHARACTERS = 1024
_AT_ONCE = 2


class PasswordRefused(Exception):
    """The password cannot be used; the message may be shown to its person."""


class PasswordOvertaken(Exception):
    """The password is another one by now than the one that was to be replaced."""


class PresentedPassword(PresentedSecret):
    """A password as it came in: it can be compared, hashed and measured, nothing else."""

    __slots__ = ("characters",)

    def __init__(self, value: str) -> None:
        normal = unicodedata.normalize("NFKC", value)  # RFC 8265, Section 4.2.2
        super().__init__(normal)
        self.characters = len(normal)

    def keyed(self, peppers: Peppers, pepper_id: str) -> str:
        """Return the MAC that is hashed, as text. Raises KeyError for an unknown pepper."""
        mac = peppers.mac(pepper_id, b"password\0" + self._value)
        return base64.b64encode(mac).decode()

    def is_login(self, login: str) -> bool:
        """Tell whether the password is the login name itself."""
        return hmac.compare_digest(
            normal_login(self._value.decode()).encode(), normal_login(login).encode()
        )

    def __repr__(self) -> str:
        return "PresentedPassword(...)"


class Passwords:
    """Sets and verifies passwords."""

    def __init__(self, credentials: Credentials, peppers: Peppers) -> None:
        self._credentials = credentials
        self._peppers = peppers
        self._hasher = PasswordHasher()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._decoy: str | None = None

    async def set(
        self,
        subject: str,
        password: PresentedPassword,
        *,
        now: datetime,
        present: datetime | None = None,
    ) -> None:
        """Replace the password of a person: the one that was set at `present`, or any.

        Raises PasswordRefused, PasswordOvertaken, LedgerUnavailable.
        """
        if not MIN_CHARACTERS <= password.characters <= MAX_CHARACTERS:
            raise PasswordRefused(f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
        for login in (subject, *await self._credentials.logins_of(subject)):
            if password.is_login(login):
                raise PasswordRefused("the password must not be the login name")
        pepper_id, hashed = await self._hashed(password)
        given = {"hashed": hashed, "pepper_id": pepper_id}
        if present is None:
            await self._credentials.keep_password(subject, now=now, **given)
        elif not await self._credentials.replace_password(
            subject, present=present, now=now, **given
        ):
            raise PasswordOvertaken("the password was changed meanwhile")

    async def set_at(self, subject: str | None) -> datetime | None:
        """Return when the password of `subject` was set, None where there is none.

        Raises LedgerUnavailable.
        """
        kept = await self._credentials.password_of(subject or "")
        return kept.set_at if kept else None

    async def verify(self, subject: str | None, password: PresentedPassword) -> bool:
        """Tell whether the password is that of `subject` (None: nobody). Raises LedgerUnavailable.

        A hash under an old pepper or old parameters is renewed, unless the password was changed
        meanwhile: the old one must not come back.
        """
        # Asked for nobody too: the look-up takes time as well. No principal has an empty subject.
        kept = await self._credentials.password_of(subject or "")
        if kept is None or kept.pepper_id not in self._peppers.ids:
            await self._matches(await self._decoy_hash(), password, self._peppers.current.key_id)
            return False
        if not await self._matches(kept.hash, password, kept.pepper_id):
            return False
        if subject and self._outdated(kept):
            pepper_id, hashed = await self._hashed(password)
            await self._credentials.renew_hash(
                subject, old=kept.hash, hashed=hashed, pepper_id=pepper_id
            )
        return True

    def _outdated(self, kept: KeptPassword) -> bool:
        current = self._peppers.current.key_id
        return kept.pepper_id != current or self._hasher.check_needs_rehash(kept.hash)

    async def _hashed(self, password: PresentedPassword) -> tuple[str, str]:
        pepper_id = self._peppers.current.key_id
        return pepper_id, await self._hash(password.keyed(self._peppers, pepper_id))

    async def _matches(self, hashed: str, password: PresentedPassword, pepper_id: str) -> bool:
        keyed = password.keyed(self._peppers, pepper_id)
        async with self._room:
            try:
                return await asyncio.to_thread(self._hasher.verify, hashed, keyed)
            except (VerifyMismatchError, InvalidHashError):
                return False

    async def _hash(self, keyed: str) -> str:
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, keyed)

    async def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = await self._hash(secrets.token_urlsafe(32))
        return self._decoy
