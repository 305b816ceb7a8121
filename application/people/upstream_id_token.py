"""The ID token of an upstream login: who logged in there, and that it was meant for us.

OpenID Connect Core 1.0, Section 3.1.3.7, in this order:

1. It is readable and its algorithm is one of the list: never `none`, never a shared key.
2. A key of the provider made its signature (unverified_jwt.py, foreign_jwt.py).
3. iss, aud, azp, exp, iat, nonce and at_hash are what they must be (authlib).
4. The subject is one that can be kept; the moment of the login is not in the future.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from application.foreign_jwt import ForeignJwtRefused
from application.foreign_jwt import verified_claims as signed_claims
from application.people.upstream_metadata import UpstreamMetadata
from application.unverified_jwt import UnreadableJwt, read_jwt

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
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
    try:
        unverified = read_jwt(token)
        if unverified.header.get("alg") not in ALGORITHMS:  # before anything is fetched for it
            raise ForeignJwtRefused("algorithm not allowed")
        keys = await metadata.keys(unverified.header.get("kid"), now)
        claims = dict(signed_claims(unverified, keys, algorithms=ALGORITHMS))
    except (UnreadableJwt, ForeignJwtRefused) as refused:
        raise IdTokenRefused(f"ID token: {refused}") from None
    _check_claims(claims, unverified.header, expected, now)
    return _subject(claims), _auth_time(claims, now)


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
    if not numeric or not 0 <= value <= now.timestamp() + LEEWAY_SECONDS:
        raise IdTokenRefused("ID token: impossible auth_time")
    return datetime.fromtimestamp(value, UTC)
