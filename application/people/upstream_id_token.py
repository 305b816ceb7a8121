"""The ID token of an upstream login: who logged in there, and that it was meant for us.

OpenID Connect Core 1.0, Section 3.1.3.7, in this order:

1. Its algorithm is one of the list: never `none`, never a shared key.
2. A key of the provider, meant for signing and for that algorithm, made its signature.
3. iss, aud, azp, exp, iat, nonce and at_hash are what they must be (authlib).
4. The subject is one that can be kept; the moment of the login is not in the future.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from application.people.upstream_metadata import Jwk, UpstreamMetadata

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
MAX_CHARACTERS = 16_384
LEEWAY_SECONDS = 60
_MAX_SUBJECT = 255


class IdTokenRefused(Exception):
    """The ID token proves nothing; the message says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token must agree with."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None


async def verified_claims(
    token: object, *, expected: Expected, metadata: UpstreamMetadata, now: datetime
) -> tuple[str, datetime | None]:
    """Return subject and moment of the login (None where the provider keeps it to itself).

    Raises IdTokenRefused, OutboundError.
    """
    if not isinstance(token, str) or len(token) > MAX_CHARACTERS:
        raise IdTokenRefused("no ID token")
    header = _header(token)
    keys = await metadata.keys(header.get("kid"), now)
    claims = _signed_claims(token, _key(header, keys))
    _check_claims(claims, header, expected, now)
    return _subject(claims), _auth_time(claims, now)


def _header(token: str) -> Mapping[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise IdTokenRefused("unreadable ID token") from None
    if header.get("alg") not in ALGORITHMS:  # 1.
        raise IdTokenRefused("ID token: algorithm not allowed")
    return header


def _key(header: Mapping[str, Any], keys: tuple[Jwk, ...]) -> jwt.PyJWK:
    """2. Return the one key that the header names; without a name, the only one that fits."""
    kid, alg = header.get("kid"), header["alg"]
    fitting = [
        key
        for key in keys
        if (kid is None or key.get("kid") == kid)
        and key.get("use", "sig") == "sig"
        and key.get("alg", alg) == alg
    ]
    usable = [key for key in (_imported(jwk, alg) for jwk in fitting) if key is not None]
    if len(usable) != 1:
        raise IdTokenRefused("ID token: signed by no key of the provider")
    return usable[0]


def _imported(jwk: Jwk, algorithm: str) -> jwt.PyJWK | None:
    try:
        return jwt.PyJWK(dict(jwk), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _signed_claims(token: str, key: jwt.PyJWK) -> dict[str, Any]:
    # Signature only: PyJWT would ask the clock of the machine about the times.
    verifier = jwt.PyJWT({"enforce_minimum_key_length": True})
    try:
        claims: dict[str, Any] = verifier.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
            },
        )
    except (jwt.PyJWTError, RecursionError):
        raise IdTokenRefused("ID token: bad signature") from None
    return claims


def _check_claims(
    claims: dict[str, Any], header: Mapping[str, Any], expected: Expected, now: datetime
) -> None:
    """3."""
    token = CodeIDToken(
        claims,
        dict(header),
        options={
            "iss": {"essential": True, "value": expected.issuer},
            "aud": {"essential": True, "value": expected.client_id},
        },
        params={
            "client_id": expected.client_id,
            "nonce": expected.nonce,
            "access_token": expected.access_token,
        },
    )
    try:
        token.validate(now=int(now.timestamp()), leeway=LEEWAY_SECONDS)
    except JoseError as error:
        raise IdTokenRefused(f"ID token: {_named(error)}") from None
    except (TypeError, ValueError):
        raise IdTokenRefused("ID token: a claim of the wrong type") from None


def _named(error: JoseError) -> str:
    claim = getattr(error, "claim", None)
    return f"{error.error} {claim}" if claim else error.error


def _subject(claims: Mapping[str, Any]) -> str:
    """4. Section 2: "It MUST NOT exceed 255 ASCII characters in length."."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise IdTokenRefused("ID token: unusable sub")
    if not (subject.isascii() and subject.isprintable()):
        raise IdTokenRefused("ID token: unusable sub")
    return subject


def _auth_time(claims: Mapping[str, Any], now: datetime) -> datetime | None:
    value = claims.get("auth_time")
    if value is None:
        return None
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    # A login in the future would satisfy every max_age for good.
    if (
        not numeric
        or not math.isfinite(value)
        or not 0 <= value <= now.timestamp() + LEEWAY_SECONDS
    ):
        raise IdTokenRefused("ID token: impossible auth_time")
    return datetime.fromtimestamp(value, UTC)
