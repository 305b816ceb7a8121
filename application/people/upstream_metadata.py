"""What the upstream provider says about itself: its endpoints and keys, fetched and kept.

Both are kept for an hour unless their headers say otherwise. Where they cannot be fetched anew the
old ones serve on for most of a day: a provider that is briefly away locks nobody out whom it can
still log in. A key id that is not among the keys fetches them at once, but no more than once a
minute: anybody can make one up.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx
import msgspec

from application.foreign_jwt import Jwk
from application.kept import Kept
from application.outbound import Outbound, OutboundRefused
from application.published_keys import KeySet

STALE = timedelta(hours=23)
_DISCOVERY = "/.well-known/openid-configuration"
_T = TypeVar("_T")


class Metadata(msgspec.Struct, frozen=True):
    """The part of OpenID Connect Discovery 1.0, Section 3, that a login needs."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    # RFC 9207, Section 3
    authorization_response_iss_parameter_supported: bool = False


class UpstreamMetadata:
    """Fetches what the provider publishes. `hosts` are those that its endpoints may lie on beside
    the issuer's own.
    """

    def __init__(self, issuer: str, hosts: tuple[str, ...], outbound: Outbound) -> None:
        self._issuer = issuer
        self._hosts = (host_of(issuer), *hosts)
        self._outbound = outbound
        self._metadata = Kept(self._fetch_metadata, stale=STALE)
        self._keys = Kept(self._fetch_keys, stale=STALE)

    async def metadata(self, now: datetime) -> Metadata:
        """Return the endpoints. Raises OutboundError."""
        return await self._metadata.value(now)

    async def keys(self, kid: object, now: datetime) -> tuple[Jwk, ...]:
        """Return the signing keys, fetched anew where `kid` is not among them.

        Raises OutboundError.
        """
        keys = await self._keys.value(now)
        if kid is not None and all(key.get("kid") != kid for key in keys):
            keys = await self._keys.newer(now)
        return keys

    async def post(self, url: str, form: Mapping[str, str], **options: Any) -> dict[str, Any]:
        """Send a form to one of the provider's endpoints. Raises OutboundError."""
        return await self._outbound.post_form(url, form, host=self._host(url), **options)

    async def _fetch_metadata(self, _: datetime) -> tuple[Metadata, timedelta | None]:
        url = self._issuer.rstrip("/") + _DISCOVERY
        document, max_age = await self._outbound.get_lasting_json(url, host=self._hosts[0])
        metadata = _read(document, Metadata)
        # OpenID Connect Discovery 1.0, Section 4.3: "The issuer value returned MUST be identical
        # to the Issuer URL that was used": another one's document would send people there.
        if metadata.issuer != self._issuer:
            raise OutboundRefused("discovery: another issuer")
        # The login page lets its form end at the issuer's origin alone (Content-Security-Policy).
        if origin_of(metadata.authorization_endpoint) != origin_of(self._issuer):
            raise OutboundRefused("discovery: the authorization endpoint lies elsewhere")
        return metadata, max_age

    async def _fetch_keys(self, now: datetime) -> tuple[tuple[Jwk, ...], timedelta | None]:
        url = (await self.metadata(now)).jwks_uri
        document, max_age = await self._outbound.get_lasting_json(url, host=self._host(url))
        return _read(document, KeySet).keys, max_age

    def _host(self, url: str) -> str:
        """Return the configured host of `url`; of one that lies elsewhere, one it will fail at."""
        host = host_of(url)
        return host if host in self._hosts else self._hosts[0]


def host_of(url: str) -> str:
    """Return host and port of `url` as Outbound compares them; "" for what is no URL."""
    try:
        return httpx.URL(url).netloc.decode()
    except (httpx.InvalidURL, UnicodeError):
        return ""


def origin_of(url: str) -> str:
    """Return scheme, host and port of `url`."""
    return f"{url.partition(':')[0]}://{host_of(url)}"


def _read(document: dict[str, Any], form: type[_T]) -> _T:
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise OutboundRefused(f"discovery: {error}") from None
