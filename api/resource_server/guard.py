"""A protected endpoint: the access token that comes with a request, and who may present it.

1 one token in one Authorization header, Bearer or DPoP, never in the query (RFC 6750, Section 2;
RFC 9449, Section 7.1), 2 the issuer signed it as an access token, and it has not expired (RFC 9068,
Section 4), 3 its audience is this resource, 4 who presents it holds the key that it is bound to: by
a proof for this very request where it is DPoP-bound, by the certificate of the connection where it
is bound to one; a bound token is never taken as a bearer token, and a token that is bound to
nothing not as one that is, 5 it is live, where the resource can know, 6 it carries every scope that
is required, and where the resource can know, the person that it was granted for holds each that
people hold by roles, now, 7 the person behind it logged in recently enough, where that is asked for
(RFC 9470).

4 comes before 5, so that a stolen token makes nobody look anything up. What the token's own words
tell of 6 and 7 is judged before the name of a proof is used (application.single_use), so that it
leaves nothing behind; that comes before 5, and what the record tells of 6 and 7 after it.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from api.oauth_errors import MissingToken, error_body, error_headers
from api.resource_server.memory_names import MemoryNames
from application.dpop import DpopProofs, ProofUse
from application.errors import (
    InsufficientScope,
    InvalidDpopProof,
    InvalidToken,
    LoginTooOld,
    NonceRequired,
    OAuthError,
    UnusableProof,
    UseDpopNonce,
)
from application.present_authority import RecordedGrant
from application.single_use import SingleUse
from application.token_keys import UnverifiableToken, VerifiedClaims
from domain.confirmation import CERTIFICATE, DPOP, Confirmation

Connection = ASGIConnection[Any, Any, Any, Any]
_CALLER = "grantledger_caller"
INVALID = "the access token is expired, revoked, malformed or not meant for this service"
"""What a caller reads, whatever is wrong with its token."""
NOT_LIVE = "revoked, or its client or owner is not active"


class Verifier(Protocol):
    """Tells the issuer's access tokens from anything else."""

    async def claims_of(self, token: str, now: datetime) -> VerifiedClaims:
        """Return the claims, expired or not. Raises UnverifiableToken."""


class Authority(Protocol):
    """Tells for whom a token was granted, and what its person holds at present."""

    async def grant_of(self, token_id: str) -> RecordedGrant | None:
        """Return for whom a token was granted, None where it was not."""

    async def lacking(self, grant: RecordedGrant, scopes: Sequence[str]) -> list[str]:
        """Return those of `scopes` that the person behind a token does not hold now."""


def _nothing_more(_: VerifiedClaims) -> None:
    """Require nothing of the claims but what every token has to have."""


class ResourceServer:
    """One resource and the issuer whose tokens it takes.

    `audience` is its name in `aud`, None where it takes every token of the issuer; `url` what the
    URLs of its endpoints begin with, as clients know them: proofs are made for those. `is_live`
    asks whether a token was revoked; without it a token is good until it expires. `certificate_of`
    returns the thumbprint (x5t#S256) of the client certificate of a connection. `metadata_url` is
    where RFC 9728 puts the resource's metadata.
    `authority` knows the record of each token; without it the claims say whose it is.
    """

    def __init__(  # noqa: PLR0913  # each is something else that a resource may know
        self,
        audience: str | None,
        verifier: Verifier,
        *,
        url: str,
        proofs: DpopProofs | None = None,
        is_live: Callable[[VerifiedClaims], Awaitable[bool]] | None = None,
        certificate_of: Callable[[Connection], str | None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        metadata_url: str | None = None,
        authority: Authority | None = None,
    ) -> None:
        self._audience = audience
        self._verifier = verifier
        self._url = url.rstrip("/")
        self._proofs = proofs or DpopProofs(MemoryNames())
        self._is_live = is_live
        self._certificate_of = certificate_of
        self._now = now
        self.metadata_url = metadata_url
        self._authority = authority

    def requires(
        self,
        *scopes: str,
        max_age: int | None = None,
        machines: bool = False,
        owner_of: Callable[[str], str | None] = lambda _: None,
    ) -> Guard:
        """Return a guard that lets through tokens that carry every one of `scopes`.

        With `max_age` the person behind a token must have logged in at most so many seconds ago;
        `machines` lets tokens through that clients got for themselves: `sub` is the client, or the
        owner that `owner_of` returns for it.
        """

        async def guard(connection: Connection, _: BaseRouteHandler) -> None:
            verified = await self.verified(connection, require=suffices)
            own = await self._acts_as_itself(verified, scopes, owner_of)  # 6, by the record
            if max_age is not None and machines and not own:  # 7
                require_recent_login(verified, max_age, self._now())

        def suffices(verified: VerifiedClaims) -> None:
            require_scopes(verified, scopes)  # 6, by the token's own words
            if max_age is not None and not machines:  # 7
                require_recent_login(verified, max_age, self._now())

        return guard

    async def _acts_as_itself(
        self,
        verified: VerifiedClaims,
        scopes: Sequence[str],
        owner_of: Callable[[str], str | None],
    ) -> bool:
        """Tell whether a machine acts as itself. Raises InsufficientScope (6)."""
        if self._authority is None:
            return _is_its_own(verified, owner_of)
        grant = await self._authority.grant_of(verified.token_id)
        if grant is None:
            raise InvalidToken(INVALID, reason="not issued")
        require_scopes(verified, scopes, lacking=await self._authority.lacking(grant, scopes))
        return grant.own

    async def verified(
        self,
        connection: Connection,
        *,
        require: Callable[[VerifiedClaims], None] = _nothing_more,
    ) -> VerifiedClaims:
        """Return the claims of the token that came with a request, once 1 to 5 hold.

        `require` raises what the claims lack. Raises InvalidToken, UnusableProof, NonceRequired,
        what `require` raises, or what `is_live` raises.
        """
        scheme, token = _presented(connection.headers.getall("authorization", []))  # 1
        verified = await self.admitted(connection, scheme=scheme, token=token, require=require)
        connection.scope["state"][_CALLER] = verified
        return verified

    async def admitted(
        self,
        connection: Connection,
        *,
        scheme: str,
        token: str,
        require: Callable[[VerifiedClaims], None] = _nothing_more,
    ) -> VerifiedClaims:
        """Return the claims of a token that came in whichever way, once 2 to 5 hold.

        Raises as `verified` does.
        """
        now = self._now()
        once = SingleUse(self._proofs.used, now)
        try:
            verified = await self.claims_of(connection, token, now)  # 2
        except UnverifiableToken as error:
            raise InvalidToken(INVALID, reason=str(error)) from None
        if verified.expired(now):
            raise InvalidToken(INVALID, reason="expired")
        if self._audience is not None and self._audience not in verified.audience:  # 3
            raise InvalidToken(INVALID, reason="not meant for this service")
        await self._require_key(connection, scheme, token, _confirmation(verified), once)  # 4
        require(verified)  # 6, 7
        await self._use(once)
        await self.require_live(connection, verified)  # 5
        return verified

    async def claims_of(self, connection: Connection, token: str, now: datetime) -> VerifiedClaims:  # noqa: ARG002
        """Return the claims of the token of a request, expired or not.

        Raises UnverifiableToken, and what the verifier raises.
        """
        return await self._verifier.claims_of(token, now)

    async def require_live(self, connection: Connection, verified: VerifiedClaims) -> None:  # noqa: ARG002
        """Raise InvalidToken unless a token is live, and what `is_live` raises."""
        if self._is_live is not None and not await self._is_live(verified):
            raise InvalidToken(INVALID, reason=NOT_LIVE)

    async def _require_key(
        self,
        connection: Connection,
        scheme: str,
        token: str,
        bound_to: Confirmation | None,
        once: SingleUse,
    ) -> None:
        """4."""
        by_proof = bound_to is not None and bound_to.method == DPOP
        # RFC 9449, Section 7.2: else a thief would present it as what it is not.
        if by_proof != (scheme == "dpop"):
            raise InvalidToken(INVALID, reason="presented by another scheme than it is bound for")
        if bound_to is not None and bound_to.method == CERTIFICATE:
            if self._certificate_of(connection) != bound_to.thumbprint:
                raise InvalidToken(INVALID, reason="bound to another certificate")
        elif by_proof:
            headers = [value.encode("latin-1") for value in connection.headers.getall("dpop", [])]
            use = ProofUse(_method(connection), self._url + _path(connection), token, bound_to)
            try:
                await self._proofs.confirmed(headers, use, once.now, once=once)
            except UseDpopNonce as error:
                raise NonceRequired(error.nonce) from None
            except InvalidDpopProof as error:
                raise UnusableProof(error.description, reason=error.reason) from None

    @staticmethod
    async def _use(once: SingleUse) -> None:
        try:
            await once.use()
        except InvalidDpopProof as error:
            raise UnusableProof(error.description, reason=error.reason) from None

    def refused(self, _: Request[Any, Any, Any], error: OAuthError) -> Response[bytes]:
        """Answer a refusal: an exception handler for OAuthError."""
        headers = error_headers(error, metadata_url=self.metadata_url)
        return Response(
            error_body(error),
            status_code=int(error.status),
            media_type=MediaType.JSON,
            headers={
                "Cache-Control": "no-store",
                **{name.decode(): value.decode() for name, value in headers},
            },
        )


def caller_of(connection: Connection) -> VerifiedClaims:
    """Return the claims of the token that a guard let through. Raises KeyError without one."""
    caller: VerifiedClaims = connection.scope["state"][_CALLER]
    return caller


def _method(connection: Connection) -> str:
    return str(connection.scope.get("method", ""))


def _path(connection: Connection) -> str:
    """Return the path as it was sent: what is encoded there is encoded in `htu` as well."""
    raw = connection.scope.get("raw_path")
    return raw.decode("latin-1").partition("?")[0] if raw else connection.scope["path"]


def _presented(headers: Sequence[str]) -> tuple[str, str]:
    """1."""
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() not in ("bearer", "dpop") or not token.strip():
        raise MissingToken
    return scheme.lower(), token.strip()


_PERSONAL = frozenset({"auth_time", "roles", "act"})
"""Claims that tell of a person: a machine that acts as itself has none of them."""


def _is_its_own(verified: VerifiedClaims, owner_of: Callable[[str], str | None]) -> bool:
    # Who impersonates a person that logged in nowhere leaves no claim but `sub`.
    own = (verified.client_id, owner_of(verified.client_id))
    return _PERSONAL.isdisjoint(verified.claims) and verified.claims["sub"] in own


def require_scopes(
    verified: VerifiedClaims, scopes: Sequence[str], *, lacking: Sequence[str] = ()
) -> None:
    """Raise InsufficientScope unless a token carries every one of `scopes` (6), and its person
    holds them: `lacking` are those that it does not.
    """
    missing = [scope for scope in scopes if scope not in verified.scope or scope in lacking]
    if missing:
        reason = f"not held by the person: {' '.join(lacking)}" if lacking else ""
        raise InsufficientScope(f"the token lacks the scope {' '.join(missing)}", reason=reason)


def require_recent_login(verified: VerifiedClaims, max_age: int, now: datetime) -> None:
    """Raise LoginTooOld unless the person logged in at most `max_age` seconds ago (7)."""
    logged_in = verified.claims.get("auth_time")
    # In whole seconds, as `auth_time` is: what is refused here is too old for the issuer as well,
    # and the person is really asked.
    if not isinstance(logged_in, int | float) or int(now.timestamp()) - logged_in > max_age:
        raise LoginTooOld(max_age)


def _confirmation(verified: VerifiedClaims) -> Confirmation | None:
    if "cnf" not in verified.claims:
        return None
    try:
        return Confirmation.of(verified.claims["cnf"])
    except ValueError as error:
        raise InvalidToken(INVALID, reason=str(error)) from None
