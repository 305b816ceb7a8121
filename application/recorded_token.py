"""The record is the truth, the token a claim: each token of ours is compared with its record.

A good signature shows that a key of ours signed, and an attacker with a copy of the key can sign
any claims. So a token of ours that is presented online counts only where

1 the log has a TokenIssued of its `jti` (of its `origin_jti`, for an ID token), 2 the key that
signed it is the recorded one, 3 its payload has the recorded SHA-256; records of before version 5
have none, and are compared member by member.

Any other token is refused like a revoked one, and is the sign of a leaked signing key: it is noted
(application.forged_tokens). Two kinds are refused and not noted, because they have another
explanation:

- a token without a record whose `iat` lies where the log went back was lost with the log;
- an expired token without a record may be of a month that left the log.

1 reads the primary: absence from a replica, which may lag, proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from application.ports import Clock, Directory, EventLog
from application.request_context import RequestContext
from application.token_keys import (
    SALT,
    MisshapenToken,
    UnverifiableToken,
    VerifiedClaims,
    VerifiedIdToken,
)
from domain.access_token import ACCESS_TOKEN, AccessToken
from domain.forgery_log import ANOTHER_MEMBER, ENCODING, NOT_RECORDED, Forgery
from domain.permissions import OPENID
from domain.provenance import Provenance

_OF_ID_TOKENS_ALONE = frozenset({"nonce", "amr", "at_hash"})
"""What the record of an access token does not say of the ID token that came with it."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a token is presented: at which `endpoint`, by which authenticated client ("" where there
    is none), from which address, in which request.
    """

    endpoint: str
    client_id: str
    address: str
    provenance: Provenance

    @classmethod
    def of(cls, context: RequestContext, endpoint: str, client_id: str = "") -> "Circumstances":
        """Return the circumstances of a request."""
        return cls(endpoint, client_id, context.origin.address, context.provenance)


class TokenVerifier(Protocol):
    """Tells our tokens from anything else, and says what recorded ones say."""

    def verify(self, token: str) -> VerifiedClaims:
        """Return the claims of a token of ours, expired or not. Raises UnverifiableToken."""

    def verify_id_token(self, token: str) -> VerifiedIdToken:
        """Return the claims of an ID token of ours, expired or not. Raises UnverifiableToken."""

    def recorded_claims(self, token: AccessToken) -> Mapping[str, Any]:
        """Return the claims that a recorded token has, as they read in its JWT."""

    def recorded_id_claims(self, token: AccessToken) -> Mapping[str, Any]:
        """Return the claims that an ID token shares with the record of its access token."""


class ForgeryNotes(Protocol):
    """Records signs of a leaked key."""

    def note(self, forgery: Forgery, presented: Circumstances, *, jti: object) -> None:
        """Count a forged token; `jti` is what the token says, of any type."""


class RecordService(Protocol):
    """What it takes to compare a token with its record."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def verifier(self) -> TokenVerifier:
        """Tells our tokens from others."""

    @property
    def clock(self) -> Clock:
        """The time."""

    @property
    def forgeries(self) -> ForgeryNotes:
        """Records signs of a leaked key."""

    @property
    def directory(self) -> Directory:
        """Knows what the log lost."""


def verified_token(token: str, presented: Circumstances, service: RecordService) -> VerifiedClaims:
    """Return the claims of an access token of ours, not compared with its record yet.

    Raises UnverifiableToken.
    """
    try:
        return service.verifier.verify(token)
    except MisshapenToken as error:
        _note_misshapen(error, presented, service)
        raise


def verified_id_token(
    token: str, presented: Circumstances, service: RecordService
) -> VerifiedIdToken:
    """Return the claims of an ID token of ours, not compared with its record yet.

    Raises UnverifiableToken.
    """
    try:
        return service.verifier.verify_id_token(token)
    except MisshapenToken as error:
        _note_misshapen(error, presented, service)
        raise


async def recorded_token(
    verified: VerifiedClaims, presented: Circumstances, service: RecordService
) -> AccessToken | None:
    """Return the record of an access token that says what was recorded, None for any other.

    Whether the token is live is another question. Raises LedgerUnavailable.
    """
    record = await _record(verified.token_id, service)  # 1
    if record is None:
        await _note_absent(verified, verified.token_id, presented, service)
        return None
    differs = _differences(verified, record, service.verifier)  # 2, 3
    if differs:
        forgery = Forgery(verified.kid, differs)
        service.forgeries.note(forgery, presented, jti=verified.token_id)
        return None
    return record


async def recorded_id_token(
    verified: VerifiedIdToken, presented: Circumstances, service: RecordService
) -> AccessToken:
    """Return the record of the access token that an ID token of ours came with.

    Raises UnverifiableToken for an ID token that is not what was signed for it, LedgerUnavailable.
    """
    jti = str(verified.claims["origin_jti"])
    record = await _record(jti, service)  # 1
    if record is None:
        await _note_absent(verified, jti, presented, service)
        raise UnverifiableToken("no record of this ID token")
    differs = _id_differences(verified, record, service.verifier)  # 2, 3
    if differs:
        service.forgeries.note(Forgery(verified.kid, differs), presented, jti=jti)
        raise UnverifiableToken("no record says what this ID token says")
    return record


async def _record(jti: str, service: RecordService) -> AccessToken | None:
    try:
        stream_id = UUID(jti)
    except ValueError:
        return None
    found = await service.log.load(stream_id)
    return found if isinstance(found, AccessToken) else None


def _differences(
    verified: VerifiedClaims, record: AccessToken, verifier: TokenVerifier
) -> tuple[str, ...]:
    issued = record.issued
    headers = _header_differences(verified.kid, record)
    if issued.form != ACCESS_TOKEN:  # signed as an identity assertion, presented as a token
        headers = (*headers, "typ")
    if issued.payload_sha256 == verified.payload_sha256:
        return headers
    said = {name: value for name, value in verified.claims.items() if name != SALT}
    members = _members(said, verifier.recorded_claims(record))
    if issued.payload_sha256 is None:
        return (*headers, *members)
    return (*headers, *(members or (ENCODING,)))


def _id_differences(
    verified: VerifiedIdToken, record: AccessToken, verifier: TokenVerifier
) -> tuple[str, ...]:
    issued = record.issued
    headers = _header_differences(verified.kid, record)
    if issued.id_payload_sha256 == verified.payload_sha256:
        return headers
    unnamed = issued.payload_sha256 is not None and issued.id_payload_sha256 is None
    if unnamed or OPENID not in issued.scope or issued.authenticated_at is None:
        return (NOT_RECORDED,)  # no ID token came with it
    said = {k: v for k, v in verified.claims.items() if k not in _OF_ID_TOKENS_ALONE}
    members = _members(said, verifier.recorded_id_claims(record))
    if issued.id_payload_sha256 is None:
        return (*headers, *members)
    return (*headers, *(members or (ANOTHER_MEMBER,)))


def _header_differences(kid: str, record: AccessToken) -> tuple[str, ...]:
    # Two keys may sign the same claims: only one of them was asked to.
    return () if kid == record.issued.kid else ("kid",)


def _members(said: Mapping[str, Any], recorded: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the members that differ; those that no token of ours has are one name."""
    differing = [
        name
        for name in {**recorded, **said}
        if name not in said or name not in recorded or said[name] != recorded[name]
    ]
    return tuple(sorted({name if name in _NAMES else ANOTHER_MEMBER for name in differing}))


_NAMES = frozenset(
    {
        *("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "sid"),
        *("plugin_id", "auth_time", "roles", "may_act", "act", "cnf", "authorization_details"),
        *("origin_jti", "resource"),
    }
)


async def _note_absent(
    verified: VerifiedClaims | VerifiedIdToken,
    jti: str,
    presented: Circumstances,
    service: RecordService,
) -> None:
    issued_at = datetime.fromtimestamp(verified.claims["iat"], UTC)
    if verified.expired(service.clock.now()) or service.directory.lost_with_the_log(issued_at):
        return
    # Another process may have found a moment ago that the log went back.
    await service.directory.refresh()
    if not service.directory.lost_with_the_log(issued_at):
        service.forgeries.note(Forgery(verified.kid, (NOT_RECORDED,)), presented, jti=jti)


def _note_misshapen(
    error: MisshapenToken, presented: Circumstances, service: RecordService
) -> None:
    ends = error.claims.get("exp")
    # Early versions left members out that are asked for now: their tokens have long expired.
    if type(ends) is int and ends <= service.clock.now().timestamp():
        return
    jti = error.claims.get("jti", error.claims.get("origin_jti"))
    service.forgeries.note(Forgery(error.kid, tuple(sorted(error.names))), presented, jti=jti)
