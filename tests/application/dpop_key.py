"""A key of a client that proves to hold it (RFC 9449): what its own software does, in tests."""

import uuid
from base64 import urlsafe_b64encode
from datetime import datetime
from hashlib import sha256
from typing import Any

import jwt

from application.key_material import algorithm_of, generate_private_key, public_jwk
from domain.confirmation import DPOP, Confirmation


def hashed(text: str) -> str:
    """Return base64url of the SHA-256 of `text`, as `ath` has it."""
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


class DpopKey:
    """A key pair of one algorithm."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.private = generate_private_key(algorithm)
        kid, jwk = public_jwk(self.private, algorithm)
        self.jwk = {name: jwk[name] for name in jwk if name not in ("kid", "use", "alg")}
        self.confirmation = Confirmation(DPOP, kid)

    @property
    def private_jwk(self) -> dict[str, Any]:
        """The whole key as a JWK, as nobody should send it."""
        whole = algorithm_of(self.algorithm).to_jwk(self.private, as_dict=True)
        return {name: whole[name] for name in whole if name != "key_ops"}

    def proof(
        self,
        url: str,
        now: datetime,
        *,
        method: str = "POST",
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a proof for a request; a claim or header of None is left out."""
        facts = {
            "jti": uuid.uuid4().hex,
            "htm": method,
            "htu": url,
            "iat": int(now.timestamp()),
            "ath": None if access_token is None else hashed(access_token),
            **claims,
        }
        headers = {"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})}
        return jwt.encode(
            {name: value for name, value in facts.items() if value is not None},
            self.private,  # type: ignore[arg-type]
            algorithm=self.algorithm,
            headers=headers,
        )
