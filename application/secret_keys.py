"""The two secrets of a deployment: peppers and master keys. Each has ids, so that it can rotate.

- A *pepper* keys the verifiers of client secrets and the pseudonyms of network data: a database
  leak alone verifies nothing.
- A *master key* wraps the private signing keys (AES-256-GCM, the key id as associated data).

The first of each list is current; the others still verify and unwrap.
"""

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


def _mac(key: bytes, data: bytes) -> bytes:
    """Return the HMAC-SHA-256 of `data`, 32 bytes."""
    mac = _begun(key).copy()
    mac.update(data)
    return mac.digest()


@lru_cache(maxsize=64)
def _begun(key: bytes) -> hmac.HMAC:
    # Where each MAC begins anew, OpenSSL looks up its algorithm each time: half of the cost.
    return hmac.new(key, digestmod="sha256")


class PresentedSecret:
    """A secret as it came in. It can be compared and nothing else: no repr, no pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.encode()

    def verifier(self, pepper: bytes) -> str:
        """Return the hexadecimal HMAC-SHA-256 of the secret under `pepper`."""
        return _mac(pepper, self._value).hex()

    def __repr__(self) -> str:
        return "PresentedSecret(...)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a presented secret stays in its process")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key with its id; the bytes stay out of the repr."""

    key_id: str
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) != KEY_BYTES:
            raise ValueError(f"key {self.key_id} must be {KEY_BYTES} bytes")


class Peppers:
    """The keys under which client secrets and network data are hashed."""

    def __init__(self, keys: Sequence[SecretKey]) -> None:
        self.current = keys[0]
        self._by_id: Mapping[str, bytes] = {key.key_id: key.value for key in keys}
        self._decoy = os.urandom(KEY_BYTES).hex()
        self.pseudonym = lru_cache(maxsize=4096)(self._pseudonym)

    def verifier(self, secret: PresentedSecret) -> str:
        """Return the verifier of a new secret under the current pepper."""
        return secret.verifier(self.current.value)

    def matches(self, secret: PresentedSecret, *, pepper_id: str, verifier: str) -> bool:
        """Tell in constant time whether `secret` is the one that `verifier` was made of."""
        pepper = self._by_id.get(pepper_id)
        if pepper is None:  # taken out of the settings: such secrets are void
            return self.never(secret)
        return hmac.compare_digest(secret.verifier(pepper), verifier)

    def mac(self, pepper_id: str, data: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `data`, 32 bytes. Raises KeyError for an unknown pepper."""
        return _mac(self._by_id[pepper_id], data)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all peppers, the current one first."""
        return tuple(self._by_id)

    def never(self, secret: PresentedSecret) -> bool:
        """Return False in the time of a comparison: nobody learns that there was nothing to do."""
        hmac.compare_digest(secret.verifier(self.current.value), self._decoy)
        return False

    def _pseudonym(self, value: str) -> str:
        """Return a stable pseudonym of network data, 32 hexadecimal digits; empty stays empty."""
        if not value:
            return ""
        return _mac(self.current.value, b"network\0" + value.encode()).hex()[:32]


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A private key as it lies in the database."""

    kid: str
    master_key_id: str
    nonce: bytes
    ciphertext: bytes = field(repr=False)


class MasterKeyMismatch(ValueError):
    """A private key cannot be opened with the master keys of the settings."""


class MasterKeys:
    """The keys under which private signing keys are wrapped."""

    def __init__(self, keys: Sequence[SecretKey]) -> None:
        self._current = keys[0]
        self._by_id = {key.key_id: key.value for key in keys}

    @property
    def current_id(self) -> str:
        """The id of the key that wraps from now on."""
        return self._current.key_id

    def wrap(self, kid: str, private_key: bytes) -> WrappedKey:
        """Return `private_key` (DER) encrypted and bound to its `kid`."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = AESGCM(self._current.value).encrypt(nonce, private_key, kid.encode())
        return WrappedKey(kid, self._current.key_id, nonce, ciphertext)

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Return the private key (DER).

        Raises MasterKeyMismatch where the master key is not in the settings or does not fit.
        """
        value = self._by_id.get(wrapped.master_key_id)
        if value is None:
            raise MasterKeyMismatch(f"master key {wrapped.master_key_id} is not in the settings")
        try:
            return AESGCM(value).decrypt(wrapped.nonce, wrapped.ciphertext, wrapped.kid.encode())
        except InvalidTag as error:
            raise MasterKeyMismatch(
                f"master key {wrapped.master_key_id} does not open the key"
            ) from error
