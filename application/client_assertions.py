"""Who is asking: client authentication by a key, private_key_jwt (RFC 7523, Section 3).

1 the client is known and registered for it, 2 `iss` is the client as well, 3 the media type is not
of something else, 4 one of the client's keys signed it, by an algorithm of the list, 5 `aud` is
this service alone, 6 `exp` lies ahead, by 5 minutes at most; `nbf` and `iat` do not, 7 the client
is enabled, 8 the `jti` was not used before, on any replica.

Whatever fails, the caller reads the same text, and what fails before a signature was verified is
verified with a decoy: the time would otherwise tell which clients there are. 8 comes last: only
what is right in everything else uses up a name, the free checks of its request included
(application.single_use).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from application.client_authentication import AuthenticatedClient, PresentedCredentials
from application.client_keys import ClientKeys
from application.decoy_keys import DecoyKeys
from application.errors import InvalidClient
from application.foreign_jwt import BadSignature, ForeignJwtRefused, Jwk, verified_claims
from application.jwt_claims import moment
from application.outbound import Outbound, OutboundError
from application.ports import Directory, UsedNames
from application.single_use import SingleUse, UsableName
from application.unverified_jwt import UnverifiedJwt
from domain.client import Client
from domain.client_configuration import PRIVATE_KEY_JWT, SIGNING_ALGORITHMS

MAX_LIFETIME = timedelta(minutes=5)
LEEWAY = timedelta(seconds=60)
"""How far the clock of a client may be ahead of ours."""
_KIND = "client assertion"
_TYPES = ("", "jwt", "client-authentication+jwt")
_PRINTABLE = re.compile(r"[\x21-\x7E]{1,200}")


class ClientAssertions:
    """Authenticates clients by assertions; keys at a `jwks_uri` are fetched and kept, those of
    clients that registered themselves by `of_strangers`.
    """

    def __init__(
        self,
        directory: Directory,
        outbound: Outbound,
        used: UsedNames,
        *,
        audiences: tuple[str, ...],
        algorithms: Sequence[str] = SIGNING_ALGORITHMS,
        one_audience: bool = False,
        of_strangers: Outbound | None = None,
    ) -> None:
        """`one_audience` takes `aud` as a string only (FAPI 2.0, Section 5.3.2.1)."""
        self._directory = directory
        self._keys_of = ClientKeys(outbound, of_strangers)
        self._used = used
        self._audiences = audiences
        self._algorithms = algorithms
        self._one_audience = one_audience
        self._decoys = DecoyKeys(algorithms)

    async def authenticate(
        self,
        presented: PresentedCredentials,
        assertion: UnverifiedJwt,
        now: datetime,
        *,
        once: SingleUse | None = None,
    ) -> AuthenticatedClient:
        """Return the client that an assertion proves.

        The name of the assertion is added to `once`, and used by whoever has that; without it, it
        is used at once. Raises InvalidClient, the cause in its reason, UsedAssertion for a second
        use, and LedgerUnavailable.
        """
        try:
            client = self._named(presented, assertion)  # 1, 2, 3
            keys = await self._keys(client, assertion, now)
            claims = verified_claims(assertion, keys, algorithms=self._algorithms)  # 4
        except BadSignature as refused:
            raise InvalidClient(reason=f"assertion: {refused}") from None
        except ForeignJwtRefused as refused:
            self._decoys.verify(assertion)
            raise InvalidClient(reason=f"assertion: {refused}") from None
        except InvalidClient:
            self._decoys.verify(assertion)
            raise
        try:
            expires_at = self._in_time(claims, now)  # 5, 6
        except ForeignJwtRefused as refused:
            raise InvalidClient(reason=f"assertion: {refused}") from None
        if not client.enabled:  # 7
            raise InvalidClient(reason="client disabled")
        names = SingleUse(self._used, now) if once is None else once
        names.add(_name(client, claims, expires_at))  # 8
        if once is None:
            await names.use()
        return AuthenticatedClient(client, PRIVATE_KEY_JWT, _credential(assertion))

    def _named(self, presented: PresentedCredentials, assertion: UnverifiedJwt) -> Client:
        """Return the client once 1, 2 and 3 hold. Raises InvalidClient."""
        client = self._directory.client(presented.client_id)  # 1
        if client is None:
            raise InvalidClient(reason="unknown client")
        if client.authentication.method != PRIVATE_KEY_JWT:
            raise InvalidClient(reason="not the client's authentication method")
        if assertion.claims.get("iss") != client.client_id:  # 2
            raise InvalidClient(reason="assertion: iss is not the client")
        if assertion.type not in _TYPES:  # 3
            raise InvalidClient(reason="assertion: something else by its type")
        return client

    async def _keys(
        self, client: Client, assertion: UnverifiedJwt, now: datetime
    ) -> tuple[Jwk, ...]:
        published = self._keys_of.published(client)
        if published is None:
            return client.authentication.jwks
        if assertion.header.get("alg") not in self._algorithms:  # before anything is fetched
            raise ForeignJwtRefused("algorithm not allowed")
        kid = assertion.header.get("kid")
        try:
            return await published.keys(kid if isinstance(kid, str) else None, now)
        except OutboundError as error:
            raise ForeignJwtRefused(f"keys: {error.reason}") from None

    def _in_time(self, claims: Mapping[str, Any], now: datetime) -> datetime:
        audience = claims.get("aud")
        # A client that means several servers would let each of them be the client at the others.
        several = isinstance(audience, list) and not self._one_audience
        named = audience if several else [audience]
        if not named or any(name not in self._audiences for name in named):
            raise ForeignJwtRefused("not meant for this service alone")
        expires_at = moment(claims, "exp")
        if expires_at is None or expires_at <= now:
            raise ForeignJwtRefused("expired, or without an end")
        if expires_at > now + MAX_LIFETIME + LEEWAY:
            raise ForeignJwtRefused("ends too far in the future")
        for name in ("nbf", "iat"):
            begins = moment(claims, name)
            if begins is not None and begins > now + LEEWAY:
                raise ForeignJwtRefused(f"{name} lies ahead")
        return expires_at


class UsedAssertion(InvalidClient):
    """An assertion comes a second time: it proves nothing any more."""

    def __init__(self) -> None:
        super().__init__(reason="assertion used before")


def _name(client: Client, claims: Mapping[str, Any], expires_at: datetime) -> UsableName:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise InvalidClient(reason="assertion without jti")
    key = sha256(f"{client.client_id}\0{jti}".encode()).digest()
    return UsableName(_KIND, key, expires_at, UsedAssertion)


def _credential(assertion: UnverifiedJwt) -> str:
    """Return the name of the key for the record, where it is one that can be written there."""
    kid = assertion.header.get("kid")
    return kid if isinstance(kid, str) and _PRINTABLE.fullmatch(kid) else ""
