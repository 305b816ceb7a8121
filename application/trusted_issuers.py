"""Tokens of trusted issuers: what they prove here, and about whom.

1. The token is readable; `iss`, peeked at only to choose the terms, is an issuer that is trusted.
2. It has the media type of what it is presented as: an access token is no assertion.
3. Its algorithm is on the issuer's list, and a key that the header names signed it.
4. `aud` names what the terms say, this service by default; of an assertion always this service.
5. `exp` lies ahead; `nbf` and `iat`, where there are any, behind.
6. The subject claim names a principal of ours, that is active; an unknown one is registered only
   where the terms say so.
7. Its scope is what it carries, or what the terms say for tokens without, and within the terms.
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from application.errors import IssuerAway, from_domain
from application.foreign_jwt import (
    ForeignJwtRefused,
    usable_keys,
    verified_claims,
)
from application.jwt_claims import moment
from application.outbound import Outbound, OutboundError
from application.ports import REFRESH_SECONDS, Directory, EventLog
from application.published_keys import PublishedKeys
from application.unverified_jwt import UnverifiedJwt
from domain.client_configuration import SUBJECT
from domain.confirmation import Confirmation
from domain.delegation import MAX_ACTORS
from domain.descent import Actor, Vouched
from domain.errors import DomainError
from domain.permissions import Catalogue
from domain.principal import Principal
from domain.provenance import Provenance
from domain.trusted_issuer import IssuerTerms, TrustedIssuer

LEEWAY = timedelta(seconds=60)
"""How far the clock of an issuer may be ahead of ours."""
_PRINTABLE = re.compile(r"[\x21-\x7E]{1,200}")

PLAIN_TYPES = frozenset({"", "jwt"})
ACCESS_TYPES = frozenset({"at+jwt"})


@dataclass(frozen=True, slots=True)
class Statement:
    """What a trusted issuer's token says, verified. Not yet whether its subject is known here.

    `scope` is within the terms; `may_act` names who of ours may act, None where it says nothing.
    """

    terms: IssuerTerms
    vouched: Vouched
    subject: str
    scope: tuple[str, ...]
    expires_at: datetime
    authenticated_at: datetime | None
    actors: tuple[Actor, ...]
    may_act: tuple[str, ...] | None
    confirmation: Confirmation | None
    claims: Mapping[str, Any]


class TrustedIssuers:
    """Verifies what trusted issuers signed, with the keys that they publish."""

    def __init__(self, directory: Directory, outbound: Outbound, *, issuer: str) -> None:
        self._directory = directory
        self._outbound = outbound
        self._issuer = issuer
        self._keys: dict[str, tuple[int, PublishedKeys]] = {}

    def forget(self) -> None:
        """Forget the keys that were fetched: the terms of another log may bear the same version."""
        self._keys.clear()

    def speak_for(self, claims: Mapping[str, Any]) -> bool:
        """Tell whether `iss` of unverified claims names one of them."""
        return self._found(claims.get("iss")) is not None

    async def verified(
        self,
        token: UnverifiedJwt,
        *,
        types: Collection[str],
        now: datetime,
        assertion: bool = False,
    ) -> Statement:
        """Return what `token` proves. Raises ForeignJwtRefused, IssuerAway.

        An `assertion` must be made for the authorization server itself, whatever the terms say
        (RFC 7523, Section 3): an ID token for one of our clients is none.
        """
        issuer = self._trusted(token.claims.get("iss"))  # 1
        if token.type not in types:  # 2
            raise ForeignJwtRefused("not of the type it is presented as")
        claims = await self._signed(token, issuer, now)  # 3
        audiences = _names(claims.get("aud"))
        meant = () if assertion else issuer.terms.audience
        if audiences.isdisjoint(meant or (self._issuer, f"{self._issuer}/oauth/token")):  # 4
            raise ForeignJwtRefused("not meant for this service")
        expires_at = self._in_time(claims, now)  # 5
        return Statement(
            terms=issuer.terms,
            vouched=Vouched(issuer.issuer, _name_of(token), issuer.version),
            subject=_subject(claims, issuer.terms),
            scope=_scope(claims, issuer.terms),
            expires_at=expires_at,
            authenticated_at=_auth_time(claims, now),
            actors=_actors(claims.get("act"), issuer.issuer),
            may_act=self._may_act(claims.get("may_act")),
            confirmation=_confirmation(claims),
            claims=claims,
        )

    async def usable_keys(self, terms: IssuerTerms, now: datetime) -> list[tuple[str, str]]:
        """Fetch the keys of an issuer now, and return kid and algorithm of those that fit.

        Raises OutboundError.
        """
        keys = await self._source(terms).all(now)
        return usable_keys(keys, terms.algorithms)

    def _trusted(self, name: object) -> TrustedIssuer:
        issuer = self._found(name)
        if issuer is None:
            raise ForeignJwtRefused("issuer not trusted")
        return issuer

    def _found(self, name: object) -> TrustedIssuer | None:
        # Our own name may have been a trusted issuer's before it became ours: what our keys sign is
        # compared with our records, and never taken at its word.
        if not isinstance(name, str) or name == self._issuer:
            return None
        issuer = self._directory.issuer(name)
        return issuer if issuer is not None and issuer.trusted else None

    async def _signed(
        self, token: UnverifiedJwt, issuer: TrustedIssuer, now: datetime
    ) -> Mapping[str, Any]:
        kid, algorithms = token.header.get("kid"), issuer.terms.algorithms
        if token.header.get("alg") not in algorithms:  # before anything is fetched for it
            raise ForeignJwtRefused("algorithm not allowed")
        if not isinstance(kid, str) or not kid:
            raise ForeignJwtRefused("no key named")
        try:
            keys = await self._published(issuer).keys(kid, now)
        except OutboundError as error:
            raise IssuerAway(reason=error.reason) from None
        return verified_claims(token, keys, algorithms=algorithms)

    def _published(self, issuer: TrustedIssuer) -> PublishedKeys:
        version, keys = self._keys.get(issuer.issuer, (0, None))
        if keys is None or version != issuer.version:
            keys = self._source(issuer.terms)
            self._keys[issuer.issuer] = (issuer.version, keys)
        return keys

    def _source(self, terms: IssuerTerms) -> PublishedKeys:
        return PublishedKeys(self._outbound, jwks_uri=terms.jwks_uri, issuer=terms.issuer)

    @staticmethod
    def _in_time(claims: Mapping[str, Any], now: datetime) -> datetime:
        expires_at = moment(claims, "exp")
        if expires_at is None or expires_at <= now:
            raise ForeignJwtRefused("expired, or without an end")
        for name in ("nbf", "iat"):
            begins = moment(claims, name)
            if begins is not None and begins > now + LEEWAY:
                raise ForeignJwtRefused(f"{name} lies ahead")
        return expires_at

    def _may_act(self, claim: object) -> tuple[str, ...] | None:
        """RFC 8693, Section 4.4: every member identifies the party; one we cannot check is nobody
        of ours.
        """
        if claim is None:
            return None
        if not isinstance(claim, dict) or not set(claim) <= {"sub", "iss"}:
            return ()
        if claim.get("iss", self._issuer) != self._issuer:
            return ()
        return tuple(sorted(_names(claim.get("sub"))))


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def catalogue(self) -> Catalogue: ...


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a statement is about; a `newcomer` is to be recorded with what is decided for it."""

    principal: Principal
    newcomer: bool = False

    @property
    def unrecorded(self) -> tuple[Principal, ...]:
        """The principal, where it is not in the log yet."""
        return (self.principal,) if self.newcomer else ()


async def person_of(
    statement: Statement, *, service: _Service, provenance: Provenance
) -> Person | None:
    """6. Return the principal a statement is about, None where it is unknown or deactivated.

    Raises LedgerUnavailable, InvalidRequest where a role of the terms is not in the catalogue.
    """
    principal = service.directory.principal(statement.subject)
    if principal is None and statement.terms.create_principals:
        # Another replica may have been faster a moment ago.
        found = await service.log.load(Principal.stream(statement.subject))
        if found is None:
            return Person(_registered(statement, service, provenance), newcomer=True)
        principal = found
    return Person(principal) if principal is not None and principal.active else None


def _registered(statement: Statement, service: _Service, provenance: Provenance) -> Principal:
    by = Provenance(
        provenance.occurred_at,
        provenance.request_id,
        provenance.traceparent,
        by=statement.terms.issuer,
        why="first token of a trusted issuer",
    )
    try:
        return Principal.register(
            statement.subject, statement.terms.roles, catalogue=service.catalogue, provenance=by
        )
    except DomainError as error:
        raise from_domain(error) from error


async def until_known(person: Person | None) -> None:
    """Return once every replica has read of a newcomer: its token may be presented to any."""
    if person is not None and person.newcomer:
        await asyncio.sleep(2 * REFRESH_SECONDS)


def _subject(claims: Mapping[str, Any], terms: IssuerTerms) -> str:
    value = claims.get(terms.subject_claim)
    if not isinstance(value, str) or not value:
        raise ForeignJwtRefused("no subject")
    subject = terms.subject_prefix + value
    if re.fullmatch(SUBJECT.strip("^$"), subject) is None:
        raise ForeignJwtRefused("no usable subject")
    return subject


def _scope(claims: Mapping[str, Any], terms: IssuerTerms) -> tuple[str, ...]:
    """7. An empty `scope` is empty: only a token that carries none stands for the default."""
    if "scope" not in claims:
        return terms.default_scopes
    if not isinstance(claims["scope"], str):
        raise ForeignJwtRefused("no usable scope")
    carried = claims["scope"].split(" ")
    return tuple(name for name in terms.scopes if name in carried)


def _name_of(token: UnverifiedJwt) -> str:
    """Return its `jti`, or a hash of what was signed: the same token has the same name."""
    jti = token.claims.get("jti")
    if isinstance(jti, str) and _PRINTABLE.fullmatch(jti):
        return jti
    return f"sha256:{sha256(token.signing_input).hexdigest()}"


def _auth_time(claims: Mapping[str, Any], now: datetime) -> datetime | None:
    logged_in = moment(claims, "auth_time")
    # A login in the future would satisfy every max_age for good.
    return None if logged_in is None or logged_in > now + LEEWAY else logged_in


def _confirmation(claims: Mapping[str, Any]) -> Confirmation | None:
    if "cnf" not in claims:
        return None
    try:
        return Confirmation.of(claims["cnf"])
    except ValueError as error:
        raise ForeignJwtRefused(str(error)) from None


def _names(value: object) -> set[str]:
    """Return the names of a claim that holds one or a list of them, like `aud`."""
    values = value if isinstance(value, list) else [value]
    return {name for name in values if isinstance(name, str)}


def _actors(act: object, issuer: str) -> tuple[Actor, ...]:
    """Return the chain of a foreign `act`: its names are of that issuer, unless they say more."""
    actors: list[Actor] = []
    while act is not None:
        if not isinstance(act, dict) or not _printable(act.get("sub")):
            raise ForeignJwtRefused("no usable act")
        of = act.get("iss", issuer)
        if not _printable(of) or len(actors) == MAX_ACTORS:
            raise ForeignJwtRefused("no usable act")
        actors.append(Actor(act["sub"], of))
        act = act.get("act")
    return tuple(actors)


def _printable(value: object) -> bool:
    return isinstance(value, str) and _PRINTABLE.fullmatch(value) is not None
