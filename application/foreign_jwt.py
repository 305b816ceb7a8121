"""A JWT that somebody else signed: read without belief, then verified with a published key.

1. Not oversized, and readable: base64url of JSON objects whose names are unique (RFC 7519,
   Section 4), and nothing in the header that we would have to understand (`crit`).
2. Its algorithm is on the list: never `none`, never a shared key (RFC 8725, Section 3.1).
3. One published key, meant for signatures and for that algorithm, made its signature.

What the claims mean is for those to judge who know what they wait for.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt.utils import base64url_decode

MAX_CHARACTERS = 16_384
Jwk = Mapping[str, Any]


class ForeignJwtRefused(Exception):
    """The JWT proves nothing; the message says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class UnverifiedJwt:
    """What a JWT says, whoever wrote it."""

    value: str = field(repr=False)
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its media type (RFC 8725, Section 3.11), "" where it names none."""
        typ = self.header.get("typ", "")
        return typ.lower().removeprefix("application/") if isinstance(typ, str) else "?"


def read_jwt(value: object) -> UnverifiedJwt:
    """1. Return what a JWT says, unverified. Raises ForeignJwtRefused."""
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        raise ForeignJwtRefused("no JWT, or an oversized one")
    parts = value.split(".")
    if len(parts) != 3:
        raise ForeignJwtRefused("unreadable JWT")
    header, claims = _object(parts[0]), _object(parts[1])
    if "crit" in header:
        raise ForeignJwtRefused("JWT with a critical header")
    return UnverifiedJwt(value, header, claims)


def verified_claims(
    token: UnverifiedJwt, keys: Sequence[Jwk], *, algorithms: Collection[str]
) -> Mapping[str, Any]:
    """Return the claims once 2 and 3 hold. Raises ForeignJwtRefused."""
    algorithm = token.header.get("alg")
    if algorithm not in algorithms:  # 2
        raise ForeignJwtRefused("algorithm not allowed")
    key = _key(token.header.get("kid"), str(algorithm), keys)
    # Signature only: PyJWT would ask the clock of the machine about the times.
    verifier = jwt.PyJWT({"enforce_minimum_key_length": True})
    try:
        verifier.decode(
            token.value,
            key,
            algorithms=[key.algorithm_name],
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.PyJWTError, RecursionError):
        raise ForeignJwtRefused("bad signature") from None
    return token.claims


def usable_keys(keys: Sequence[Jwk], algorithms: Collection[str]) -> list[tuple[str, str]]:
    """Return kid ("" for none) and algorithm of each key that could verify something."""
    return [
        (str(key.get("kid", "")), algorithm)
        for key in keys
        for algorithm in algorithms
        if _fits(key, algorithm) and _imported(key, algorithm) is not None
    ]


def _key(kid: object, algorithm: str, keys: Sequence[Jwk]) -> jwt.PyJWK:
    """3. Return the one key that the header names; without a name, the only one that fits."""
    fitting = [
        key for key in keys if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
    ]
    usable = [key for key in (_imported(jwk, algorithm) for jwk in fitting) if key is not None]
    if len(usable) != 1:
        raise ForeignJwtRefused("signed by no published key")
    return usable[0]


def _fits(key: Jwk, algorithm: str) -> bool:
    return bool(key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm)


def _imported(jwk: Jwk, algorithm: str) -> jwt.PyJWK | None:
    try:
        return jwt.PyJWK(dict(jwk), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(base64url_decode(part.encode("ascii")), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise ForeignJwtRefused("unreadable JWT") from None
    if not isinstance(found, dict):
        raise ForeignJwtRefused("unreadable JWT")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ForeignJwtRefused("JWT with a name twice")
    return found
