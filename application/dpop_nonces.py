"""Nonces for DPoP proofs (RFC 9449, Section 8): stateless, rotating, the same on all replicas.

A nonce is the number of a slot of time under a MAC of the pepper. The current slot's is handed out;
the one before is still taken, and the one after, for the replica whose clock is a little ahead.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import datetime

from application.secret_keys import Peppers

_MAC_BYTES = 16


class DpopNonces:
    """Makes and knows nonces; each is current for `seconds`, and none is asked for where 0."""

    def __init__(self, peppers: Peppers, *, seconds: int) -> None:
        self._peppers = peppers
        self._seconds = seconds
        self._kept: tuple[int, str] = (-1, "")

    @property
    def wanted(self) -> bool:
        """Whether proofs must carry one."""
        return self._seconds > 0

    @property
    def longest(self) -> int:
        """For how many seconds a nonce may be taken."""
        return 3 * self._seconds

    def current(self, now: datetime) -> str:
        """Return the nonce to hand out at `now` (aware, UTC)."""
        slot = self._slot(now)
        if self._kept[0] != slot:
            self._kept = (slot, self._nonce(slot, self._peppers.ids[0]))
        return self._kept[1]

    def fits(self, nonce: object, now: datetime) -> bool:
        """Tell whether `nonce` is one of ours that may be used at `now`."""
        if not isinstance(nonce, str) or not nonce.isascii():
            return False
        slot = self._slot(now)
        return any(
            hmac.compare_digest(self._nonce(near, pepper_id), nonce)
            for near in (slot, slot - 1, slot + 1)
            for pepper_id in self._peppers.ids
        )

    def _slot(self, now: datetime) -> int:
        return int(now.timestamp()) // self._seconds

    def _nonce(self, slot: int, pepper_id: str) -> str:
        mac = self._peppers.mac(pepper_id, b"dpop nonce\0" + slot.to_bytes(8, "big"))
        return urlsafe_b64encode(mac[:_MAC_BYTES]).rstrip(b"=").decode()
