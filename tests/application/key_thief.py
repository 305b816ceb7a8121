"""An attacker who holds a copy of a signing key, and signs any claims with it."""

import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.utils import base64url_encode

from application.key_material import public_jwk, signing_function

GONE = object()
"""Takes a member away."""


class KeyThief:
    """Forges tokens with the private half of a key of the service."""

    def __init__(self, private: PrivateKeyTypes, algorithm: str = "ES256") -> None:
        self.kid, _ = public_jwk(private, algorithm)
        self._algorithm = algorithm
        self._sign = signing_function(algorithm, private)

    def forged(self, token: str, *, typ: str | None = None, **changes: Any) -> str:
        """Return `token` with other members, under a good signature."""
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        changed = {
            name: value for name, value in {**claims, **changes}.items() if value is not GONE
        }
        return self.signed(changed, typ=typ or header["typ"])

    def signed(self, claims: Mapping[str, Any], *, typ: str = "at+jwt") -> str:
        """Return a token that says `claims`."""
        return self.signed_bytes(json.dumps(claims, separators=(",", ":")).encode(), typ=typ)

    def signed_bytes(self, payload: bytes, *, typ: str = "at+jwt") -> str:
        """Return a token of exactly this payload."""
        header = {"alg": self._algorithm, "typ": typ, "kid": self.kid}
        signing_input = b".".join(map(base64url_encode, (json.dumps(header).encode(), payload)))
        return (signing_input + b"." + base64url_encode(self._sign(signing_input))).decode()
