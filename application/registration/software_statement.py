"""Software statements (RFC 7591, Section 2.3): what a publisher says about its software, signed.

1. It is a readable JWT, 2. of a publisher that the settings name (else it is unapproved), 3. signed
by one of that publisher's keys with an algorithm of its list, 4. not expired, not of the future,
and where it names an audience, made for this service. Its claims are client metadata and
"MUST take precedence over those conveyed using plain JSON elements".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from application.errors import (
    InvalidSoftwareStatement,
    IssuerAway,
    UnapprovedSoftwareStatement,
)
from application.foreign_jwt import ForeignJwtRefused, Jwk, verified_claims
from application.jwt_claims import moment
from application.outbound import Outbound, OutboundError
from application.published_keys import PublishedKeys
from application.unverified_jwt import UnreadableJwt, UnverifiedJwt, read_jwt
from domain.client_configuration import SIGNING_ALGORITHMS
from domain.https_url import HttpsUrl

MEMBER = "software_statement"
LEEWAY = timedelta(seconds=60)
_REGISTERED_CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", MEMBER)


class Publisher(BaseModel):
    """Whose statements count; its keys are in `jwks` or published at `jwks_uri`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=500, pattern=r"^[\x21-\x7E]+$")
    jwks: tuple[dict[str, Any], ...] = ()
    jwks_uri: HttpsUrl | None = None
    algorithms: tuple[str, ...] = SIGNING_ALGORITHMS

    @model_validator(mode="after")
    def _consistent(self) -> "Publisher":
        if bool(self.jwks) == (self.jwks_uri is not None):
            raise ValueError("give jwks or jwks_uri")
        # RFC 8725, Section 3.1: never `none`, never a shared key.
        if not self.algorithms or set(self.algorithms) - set(SIGNING_ALGORITHMS):
            raise ValueError(f"algorithms must be among {', '.join(SIGNING_ALGORITHMS)}")
        return self


class SoftwareStatements:
    """Verifies statements of the publishers that the settings name."""

    def __init__(self, publishers: Sequence[Publisher], outbound: Outbound, *, issuer: str) -> None:
        self._publishers = {publisher.issuer: publisher for publisher in publishers}
        self._published = {
            publisher.issuer: PublishedKeys(outbound, jwks_uri=publisher.jwks_uri)
            for publisher in publishers
            if publisher.jwks_uri is not None
        }
        self._issuer = issuer

    async def applied(
        self, document: Mapping[str, Any], now: datetime
    ) -> tuple[Mapping[str, Any], str | None]:
        """Return the metadata with the claims of its statement over it, and who signed that.

        Raises InvalidSoftwareStatement, UnapprovedSoftwareStatement, IssuerAway.
        """
        if document.get(MEMBER) is None:
            return document, None
        try:
            statement = read_jwt(document[MEMBER])  # 1
        except UnreadableJwt as error:
            raise InvalidSoftwareStatement(f"software_statement: {error}") from error
        publisher = self._publisher(statement)  # 2
        try:
            claims = await self._signed(statement, publisher, now)  # 3
            self._require_valid(claims, now)  # 4
        except ForeignJwtRefused as refused:
            raise InvalidSoftwareStatement(f"software_statement: {refused}") from None
        said = {name: claims[name] for name in claims if name not in _REGISTERED_CLAIMS}
        return {**document, **said}, publisher.issuer

    def _publisher(self, statement: UnverifiedJwt) -> Publisher:
        name = statement.claims.get("iss")
        publisher = self._publishers.get(name) if isinstance(name, str) else None
        if publisher is None:
            raise UnapprovedSoftwareStatement("the publisher of the software is not trusted here")
        return publisher

    async def _signed(
        self, statement: UnverifiedJwt, publisher: Publisher, now: datetime
    ) -> Mapping[str, Any]:
        if statement.header.get("alg") not in publisher.algorithms:  # before anything is fetched
            raise ForeignJwtRefused("algorithm not allowed")
        keys: Sequence[Jwk] = publisher.jwks
        if publisher.issuer in self._published:
            kid = statement.header.get("kid")
            try:
                keys = await self._published[publisher.issuer].keys(
                    kid if isinstance(kid, str) else None, now
                )
            except OutboundError as error:
                raise IssuerAway(reason=error.reason) from None
        return verified_claims(statement, keys, algorithms=publisher.algorithms)

    def _require_valid(self, claims: Mapping[str, Any], now: datetime) -> None:
        expires_at = moment(claims, "exp")
        if expires_at is not None and expires_at <= now:
            raise ForeignJwtRefused("expired")
        for name in ("nbf", "iat"):
            begins = moment(claims, name)
            if begins is not None and begins > now + LEEWAY:
                raise ForeignJwtRefused(f"{name} lies ahead")
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if audience is not None and self._issuer not in named:
            raise ForeignJwtRefused("made for another service")
