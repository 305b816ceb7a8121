"""Keys that nobody has: what is refused for another reason still costs the work of a signature.

Who measures how long a refusal takes would otherwise learn which clients authenticate by a key (186
microseconds of 600, `make bench-timing`). The result is never looked at.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from jwt.utils import base64url_encode

from application.foreign_jwt import ForeignJwtRefused, Jwk, verified_claims
from application.key_material import generate_private_key, public_jwk
from application.unverified_jwt import UnverifiedJwt

_RSA_BYTES = 256


class DecoyKeys:
    """A key for each algorithm; their private halves are kept nowhere."""

    def __init__(self, algorithms: Collection[str]) -> None:
        self._keys: Mapping[str, Jwk] = {algorithm: _decoy(algorithm) for algorithm in algorithms}

    def verify(self, token: UnverifiedJwt) -> None:
        """Verify `token` in vain, by the steps that the key of a client would take.

        Of an algorithm of no list it is refused at once, whosever it is.
        """
        algorithm, kid = token.header.get("alg"), token.header.get("kid")
        found = self._keys.get(algorithm) if isinstance(algorithm, str) else None
        if found is not None:
            with suppress(ForeignJwtRefused):  # it has whatever name the token asks for
                verified_claims(token, ({**found, "kid": kid},), algorithms=(str(algorithm),))


def _decoy(algorithm: str) -> dict[str, Any]:
    if algorithm in ("RS256", "PS256"):
        # A modulus need not be one to be verified with, and making one takes a second.
        modulus = bytearray(os.urandom(_RSA_BYTES))
        modulus[0] |= 0x80
        modulus[-1] |= 1
        return {"kty": "RSA", "n": base64url_encode(bytes(modulus)).decode(), "e": "AQAB"}
    _, jwk = public_jwk(generate_private_key(algorithm), algorithm)
    return {name: value for name, value in jwk.items() if name not in ("kid", "use", "alg")}
