"""Keys that others publish: at a `jwks_uri`, or where an issuer's metadata says.

Fetched from the configured host alone (application.outbound), kept by their headers within bounds,
and served on for an hour while the issuer is away. An unknown key id fetches them at once, but no
more than once a minute: anybody can make one up. A set of more than MAX_KEYS is refused: a JWT that
names none of them is tried with each that might have signed it.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from application.foreign_jwt import Jwk
from application.kept import Kept
from application.outbound import Outbound, OutboundFailed, OutboundRefused

STALE = timedelta(hours=1)
PAUSE = timedelta(seconds=5)
"""After a failure: nobody, known to us or not, makes us ask more often."""
MAX_KEYS = 100


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


class KeySet(msgspec.Struct, frozen=True):
    """What lies at a `jwks_uri` (RFC 7517, Section 5)."""

    keys: Annotated[tuple[dict[str, Any], ...], msgspec.Meta(max_length=MAX_KEYS)]


class PublishedKeys:
    """Fetches the keys of one issuer or client; `issuer` is asked for its metadata where
    `jwks_uri` is None.
    """

    def __init__(self, outbound: Outbound, *, jwks_uri: str | None, issuer: str = "") -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._host = urlsplit(jwks_uri or issuer).netloc
        self._outbound = outbound
        self._found = Kept(self._discovered, stale=STALE, pause=PAUSE)
        self._keys = Kept(self._fetched, stale=STALE, pause=PAUSE)

    async def keys(self, kid: str | None, now: datetime) -> tuple[Jwk, ...]:
        """Return the keys, fetched anew where `kid` is not among them. Raises OutboundError."""
        keys = await self._keys.value(now)
        if kid is not None and all(key.get("kid") != kid for key in keys):
            keys = await self._keys.newer(now)
        return keys

    async def all(self, now: datetime) -> tuple[Jwk, ...]:
        """Return the keys. Raises OutboundError."""
        return await self._keys.value(now)

    async def newer(self, now: datetime) -> tuple[Jwk, ...]:
        """Return the keys, fetched anew if that is due again. Raises OutboundError."""
        return await self._keys.newer(now)

    async def _fetched(self, now: datetime) -> tuple[tuple[Jwk, ...], timedelta | None]:
        url = self._jwks_uri or await self._found.value(now)
        document, max_age = await self._outbound.get_lasting_json(url, host=self._host)
        try:
            return msgspec.convert(document, KeySet).keys, max_age
        except msgspec.ValidationError:
            raise OutboundRefused(f"{self._host}: no key set of at most {MAX_KEYS} keys") from None

    async def _discovered(self, _: datetime) -> tuple[str, timedelta | None]:
        first, *others = _metadata_urls(self._issuer)
        try:
            document, max_age = await self._outbound.get_lasting_json(first, host=self._host)
        except OutboundFailed:
            document, max_age = await self._outbound.get_lasting_json(others[0], host=self._host)
        try:
            metadata = msgspec.convert(document, _Metadata)
        except msgspec.ValidationError:
            raise OutboundRefused(f"{self._host}: no metadata") from None
        # RFC 8414, Section 3.3: the issuer "MUST be identical" to the one that was asked about.
        if metadata.issuer != self._issuer:
            raise OutboundRefused(f"{self._host}: metadata of another issuer")
        return metadata.jwks_uri, max_age


def _metadata_urls(issuer: str) -> tuple[str, str]:
    """OpenID Connect Discovery 1.0 puts its name behind the path, RFC 8414 before it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    host = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{host}{path}/.well-known/openid-configuration",
        f"{host}/.well-known/oauth-authorization-server{path}",
    )
