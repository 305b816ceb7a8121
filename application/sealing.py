"""What a browser carries for us from page to page: encrypted, signed and bounded in time.

Fernet (AES-128-CBC and HMAC-SHA-256) of the cryptography package, with a key from each pepper.
"""

import base64
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from application.secret_keys import Peppers


class Unsealable(Exception):
    """The value is not one that we sealed, or it is too old."""


class Sealing:
    """Seals values for one purpose; a value of another purpose does not open."""

    def __init__(self, peppers: Peppers, *, purpose: str, seconds: int) -> None:
        self._fernet = MultiFernet([_fernet(peppers, name, purpose) for name in peppers.ids])
        self._seconds = seconds

    def seal(self, content: bytes) -> str:
        """Return `content` as an opaque string of URL-safe characters."""
        return self._fernet.encrypt(content).decode()

    def open(self, sealed: str) -> bytes:
        """Return what was sealed. Raises Unsealable."""
        try:
            return self._fernet.decrypt(sealed.encode(), ttl=self._seconds)
        except (InvalidToken, UnicodeError, ValueError):
            raise Unsealable("not sealed by us, or too old") from None


def _fernet(peppers: Peppers, pepper_id: str, purpose: str) -> Fernet:
    key = sha256(peppers.mac(pepper_id, b"seal\0" + purpose.encode())).digest()
    return Fernet(base64.urlsafe_b64encode(key))
