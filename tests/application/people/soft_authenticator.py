"""An authenticator in software: makes what a browser would send for a passkey."""

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_USER_PRESENT, _USER_VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


class SoftAuthenticator:
    """One passkey of one relying party; `count` is its signature counter."""

    def __init__(self, *, origin: str, rp_id: str) -> None:
        self._origin = origin
        self._rp_hash = sha256(rp_id.encode()).digest()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = os.urandom(32)
        self.count = 0
        self.verified = True
        self.user_handle = b""

    def create(self, options: str, **client_data: Any) -> str:
        """Return the registration response to `options` (JSON)."""
        self.user_handle = from_b64url(json.loads(options)["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        cose = cbor2.dumps(
            {
                1: 2,
                3: -7,
                -1: 1,
                -2: numbers.x.to_bytes(32, "big"),
                -3: numbers.y.to_bytes(32, "big"),
            }
        )
        length = len(self.credential_id).to_bytes(2, "big")
        attested = bytes(16) + length + self.credential_id + cose
        data = self._authenticator_data(_ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        encoded = self._client_data("webauthn.create", options, **client_data)
        return self._response(clientDataJSON=encoded, attestationObject=attestation)

    def get(self, options: str, **client_data: Any) -> str:
        """Return the assertion for `options` (JSON); `client_data` overrides what is signed."""
        self.count += 1
        encoded = self._client_data("webauthn.get", options, **client_data)
        data = self._authenticator_data(0)
        signature = self._key.sign(data + sha256(encoded).digest(), ec.ECDSA(hashes.SHA256()))
        return self._response(
            clientDataJSON=encoded,
            authenticatorData=data,
            signature=signature,
            **({"userHandle": self.user_handle} if self.user_handle else {}),
        )

    def _authenticator_data(self, flags: int) -> bytes:
        flags |= _USER_PRESENT | (_USER_VERIFIED if self.verified else 0)
        return self._rp_hash + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: str, **changes: Any) -> bytes:
        challenge = json.loads(options)["challenge"]
        content = {"type": kind, "challenge": challenge, "origin": self._origin, **changes}
        return json.dumps(content).encode()

    def _response(self, **members: bytes) -> str:
        name = b64url(self.credential_id)
        response = {key: b64url(value) for key, value in members.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})


def b64url(value: bytes) -> str:
    """Return `value` in base64url without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def from_b64url(value: str) -> bytes:
    """Return what base64url without padding says."""
    return urlsafe_b64decode(value + "=" * (-len(value) % 4))
