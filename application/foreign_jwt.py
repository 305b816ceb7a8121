"""A JWT that somebody else signed, verified with a published key.

1. Its algorithm is on the list: never `none`, never a shared key (RFC 8725, Section 3.1).
2. One published key, meant for signatures and for that algorithm, strong and written in the one way
   (application.public_keys), made its signature.

What the claims mean is for those to judge who know what they wait for.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import jwt
import msgspec

from application.public_keys import UnusableKey, canonical_jwk
from application.unverified_jwt import UnverifiedJwt

Jwk = Mapping[str, Any]


class ForeignJwtRefused(Exception):
    """The JWT proves nothing; the message says why and quotes nothing of it."""


class BadSignature(ForeignJwtRefused):
    """A key that fits was found, and did not make the signature."""

    def __init__(self) -> None:
        super().__init__("bad signature")


def verified_claims(
    token: UnverifiedJwt, keys: Sequence[Jwk], *, algorithms: Collection[str]
) -> Mapping[str, Any]:
    """Return the claims once 1 and 2 hold. Raises ForeignJwtRefused."""
    algorithm = token.header.get("alg")
    if algorithm not in algorithms:  # 1
        raise ForeignJwtRefused("algorithm not allowed")
    key = _key(token.header.get("kid"), str(algorithm), keys)
    if not key.Algorithm.verify(token.signing_input, key.key, token.signature):
        raise BadSignature
    return token.claims


def usable_keys(keys: Sequence[Jwk], algorithms: Collection[str]) -> list[tuple[str, str]]:
    """Return kid ("" for none) and algorithm of each key that could verify something."""
    return [
        (str(key.get("kid", "")), algorithm)
        for key in keys
        for algorithm in algorithms
        if _fits(key, algorithm) and imported(key, algorithm) is not None
    ]


def _key(kid: object, algorithm: str, keys: Sequence[Jwk]) -> jwt.PyJWK:
    """2. Return the one key that the header names; without a name, the only one that fits."""
    fitting = (
        key for key in keys if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
    )
    usable = (key for key in (imported(jwk, algorithm) for jwk in fitting) if key is not None)
    # An import takes tens of microseconds: the second says already that there is not one alone.
    found = list(islice(usable, 2))
    if len(found) != 1:
        raise ForeignJwtRefused("signed by no published key")
    return found[0]


def _fits(key: Jwk, algorithm: str) -> bool:
    return bool(key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm)


def imported(jwk: Jwk, algorithm: str) -> jwt.PyJWK | None:
    """Return a public key as `algorithm` uses it, None where it is of no use for that.

    A weak key is of no use, nor one that is written in another way than the one.
    """
    try:
        return imported_canonical(canonical_jwk(jwk), algorithm)
    except UnusableKey:
        return None


def imported_canonical(canonical: str, algorithm: str) -> jwt.PyJWK | None:
    """Return what `imported` does of a key whose `canonical_jwk` is at hand."""
    members = msgspec.json.decode(canonical)
    if algorithm == "ES256" and members.get("crv") != "P-256":  # RFC 7518, Section 3.4
        return None
    try:
        return jwt.PyJWK(members, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
