"""Access tokens of an authorization server elsewhere (RFC 9068, Section 4), by its published keys.

1 a JWT of the type `at+jwt`, 2 of this issuer, 3 signed by an algorithm of the list with one of the
issuer's keys (application.published_keys says when they are fetched), 4 with the claims that an
access token has; `nbf` has come.
"""

from collections.abc import Sequence
from datetime import datetime

from application.errors import IssuerAway
from application.foreign_jwt import ForeignJwtRefused, verified_claims
from application.jwt_claims import moment
from application.outbound import Outbound, OutboundError
from application.published_keys import PublishedKeys
from application.token_keys import (
    REQUIRED_CLAIMS,
    UnverifiableToken,
    VerifiedClaims,
    access_claims,
)
from application.unverified_jwt import UnreadableJwt, UnverifiedJwt, read_jwt
from domain.client_configuration import SIGNING_ALGORITHMS

_TYPE = "at+jwt"


class RemoteIssuer:
    """Verifies the tokens of `issuer`; its keys are at `jwks_uri`, or where its metadata says."""

    def __init__(
        self,
        issuer: str,
        outbound: Outbound,
        *,
        jwks_uri: str | None = None,
        algorithms: Sequence[str] = SIGNING_ALGORITHMS,
    ) -> None:
        self._issuer = issuer
        self._algorithms = algorithms
        self._published = PublishedKeys(outbound, jwks_uri=jwks_uri, issuer=issuer)

    async def claims_of(self, token: str, now: datetime) -> VerifiedClaims:
        """Return the claims, expired or not. Raises UnverifiableToken, IssuerAway."""
        try:
            return await self._verified(read_jwt(token), now)
        except (UnreadableJwt, ForeignJwtRefused) as refused:
            raise UnverifiableToken(str(refused)) from None
        except OutboundError as error:
            raise IssuerAway(reason=error.reason) from None

    async def _verified(self, token: UnverifiedJwt, now: datetime) -> VerifiedClaims:
        kid = token.header.get("kid")
        if token.type != _TYPE:  # 1
            raise UnverifiableToken("no access token by its type")
        if token.claims.get("iss") != self._issuer:  # 2
            raise UnverifiableToken("another issuer")
        if token.header.get("alg") not in self._algorithms or not isinstance(kid, str):
            # Before anything is fetched for it.
            raise UnverifiableToken("algorithm not allowed, or no key named")
        keys = await self._published.keys(kid, now)
        claims = verified_claims(token, keys, algorithms=self._algorithms)  # 3
        missing = [name for name in REQUIRED_CLAIMS if name not in claims]  # 4
        if missing or not isinstance(claims["aud"], str | list) or not moment(claims, "exp"):
            raise UnverifiableToken(f"claims missing or malformed: {' '.join(missing)}")
        begins = moment(claims, "nbf")
        if begins is not None and begins > now:
            raise UnverifiableToken("nbf lies ahead")
        return access_claims(claims)
