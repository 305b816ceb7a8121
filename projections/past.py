"""Single things as they stood: aggregates folded from a prefix of the log.

What is folded are the events of the domain by the domain's own code, so that the answer is the one
that the service gave then, and the very same views show it. Positions never change their events:
several queries see one past, whatever is recorded between them.

A token's state is what introspection said (RFC 7662; application.introspection). The first that
fits:

1 `revoked`: it was revoked itself; 2 `void`: an ancestor was, with its descendants; 3 `expired`;
4 `void` as well: the key that signed it or an ancestor was revoked; 5 `suspended`: what stands
behind it or an ancestor does not. `because` says what or who. Then `live`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from psycopg.sql import SQL

from application.introspection import ended_with, key_is_revoked, missing_behind
from application.ledger.errors import StreamUnreadable
from application.ledger.mapper import LedgerMapper
from domain.access_token import AccessToken
from domain.client import Client
from domain.principal import Principal
from domain.recorded import Recorded, fold
from domain.refresh_token_family import RefreshTokenFamily
from domain.signing_key import SigningKey
from domain.trusted_issuer import TrustedIssuer
from projections.as_of import AsOf
from projections.query import Asking, Query

PAGE_EVENTS = 500
"""Decoded and folded in one go: few enough that a service keeps nobody waiting meanwhile."""

_MAPPER = LedgerMapper()
_COLUMNS = "originator_id, originator_version, topic, state, notification_id, recorded_at"
A = TypeVar("A", bound=Recorded)


@dataclass(frozen=True, slots=True)
class Fact:
    """An event with its place in the log; `recorded_at` is UTC. `event` is None where it cannot be
    read.
    """

    position: int
    recorded_at: datetime
    topic: str
    event: Any
    stream_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class PastToken:
    """A token with its facts; `because` tells what makes it void or suspended."""

    token: AccessToken
    facts: Sequence[Fact]
    state: str
    because: str | None


@dataclass(frozen=True, slots=True)
class PastFamily:
    """A family with those of its facts that were asked for, and whether `more` follow them.

    `state` is live, expired or revoked.
    """

    family: RefreshTokenFamily
    facts: Sequence[Fact]
    more: bool
    state: str


@dataclass(frozen=True, slots=True)
class Past:
    """What there was `as_of` a position. Each answer is a generator of the queries it takes."""

    as_of: AsOf

    def client(self, client_id: str) -> Asking[Client | None]:
        """Return the client, None where it was not registered yet."""
        return self._one(Client, Client.stream(client_id))

    def principal(self, subject: str) -> Asking[Principal | None]:
        """Return the principal, None where it was not known yet."""
        return self._one(Principal, Principal.stream(subject))

    def clients(self) -> Asking[list[Client]]:
        """Return every client, disabled ones too, by client_id."""
        found = yield from self._all(Client)
        return sorted(found, key=lambda client: client.client_id)

    def principals(self) -> Asking[list[Principal]]:
        """Return every principal, deactivated ones too, by subject."""
        found = yield from self._all(Principal)
        return sorted(found, key=lambda principal: principal.subject)

    def keys(self) -> Asking[list[SigningKey]]:
        """Return every signing key, retired ones too, oldest first."""
        return self._all(SigningKey)

    def token(self, jti: UUID) -> Asking[PastToken | None]:
        """Return the token, None where it was not issued yet."""
        token, facts = yield from self._read(AccessToken, jti)
        if token is None:
            return None
        ancestors = []
        for name in token.lineage:
            ancestor = yield from self._one(AccessToken, UUID(name))
            ancestors.append((name, ancestor))
        parties = yield from self._parties([token, *(one for _, one in ancestors if one)])
        state, because = _judged(token, ancestors, parties, self.as_of.moment)
        return PastToken(token, facts, state, because)

    def family(
        self, family_id: UUID, *, after: int = 0, most: int | None = None
    ) -> Asking[PastFamily | None]:
        """Return the family, None where it was not begun yet.

        Its facts are the first `most` after the position `after`; None is all of them.
        """
        one_more = None if most is None else most + 1
        family, facts = yield from self._read(
            RefreshTokenFamily, family_id, after=after, most=one_more
        )
        if family is None:
            return None
        ended = "revoked" if family.revoked else "expired"
        state = "live" if family.live(self.as_of.moment) else ended
        return PastFamily(family, facts[:most], most is not None and len(facts) > most, state)

    def following(
        self, stream_id: UUID, page: Sequence[Fact] | None = None
    ) -> Asking[Sequence[Fact]]:
        """Return the page of facts of a stream that follows `page`, oldest first; the first page
        for None. Empty where nothing follows.
        """
        if page is not None and len(page) < PAGE_EVENTS:
            return ()
        found: list[Fact] = yield Query(
            SQL(
                f"SELECT {_COLUMNS} FROM grantledger.ledger_events"  # noqa: S608  # a constant
                " WHERE originator_id = %(stream)s AND originator_version > %(after)s"
                " AND notification_id <= %(position)s"
                " ORDER BY originator_version LIMIT %(page)s"
            ),
            {
                "stream": stream_id,
                "after": page[-1].version if page else 0,
                "position": self.as_of.position,
                "page": PAGE_EVENTS,
            },
            _fact,
        )
        return found

    def _one(self, kind: type[A], stream_id: UUID) -> Asking[A | None]:
        found, _ = yield from self._read(kind, stream_id, most=0)
        return found

    def _read(
        self, kind: type[A], stream_id: UUID, *, after: int = 0, most: int | None = None
    ) -> Asking[tuple[A | None, list[Fact]]]:
        """Fold a stream a page at a time, however long it is; return what it leads to with the
        first `most` facts after the position `after`. Nothing where it is not of `kind`.
        """
        found: Any = None
        facts: list[Fact] = []
        page: Sequence[Fact] | None = None
        while page := (yield from self.following(stream_id, page)):
            found = folded(page, since=found)
            if not isinstance(found, kind):
                return None, []
            room = None if most is None else most - len(facts)
            facts += [fact for fact in page if fact.position > after][:room]
        return found, facts

    def _all(self, kind: type[A]) -> Asking[list[A]]:
        """Fold the whole directory partition a page at a time, whose index is a small one."""
        found: dict[UUID, A] = {}
        unreadable: set[UUID] = set()
        after, topics = 0, _topics(kind)
        while True:
            page: list[Fact] = yield Query(
                SQL(
                    f"SELECT {_COLUMNS} FROM grantledger.ledger_events_directory"  # noqa: S608
                    " WHERE notification_id > %(after)s AND notification_id <= %(position)s"
                    " AND topic = ANY(%(topics)s) ORDER BY notification_id LIMIT %(page)s"
                ),
                {
                    "after": after,
                    "position": self.as_of.position,
                    "topics": topics,
                    "page": PAGE_EVENTS,
                },
                _fact,
            )
            for fact in page:
                _follow(found, unreadable, fact)
            if len(page) < PAGE_EVENTS:
                return list(found.values())
            after = page[-1].position

    def _parties(self, tokens: Sequence[AccessToken]) -> Asking["_Parties"]:
        """Return all that the tokens stand on: no more of the directory is read for them."""
        parties = _Parties()
        for token in tokens:
            issued = token.issued
            if issued.kid not in parties.signing_keys:
                stream = SigningKey.stream(issued.kid)
                parties.signing_keys[issued.kid] = yield from self._one(SigningKey, stream)
            for client_id in (issued.client_id, issued.subject):
                if client_id not in parties.clients:
                    parties.clients[client_id] = yield from self.client(client_id)
            client = parties.client(issued.client_id)
            owners = (client.owner, client.owner_at(issued.client_version)) if client else ()
            for subject in (issued.subject, *owners):
                if subject is not None and subject not in parties.principals:
                    parties.principals[subject] = yield from self.principal(subject)
            if issued.descent is not None and issued.descent.vouched is not None:
                name = issued.descent.vouched.issuer
                stream = TrustedIssuer.stream(name)
                parties.issuers[name] = yield from self._one(TrustedIssuer, stream)
        return parties


@dataclass(slots=True)
class _Parties:
    clients: dict[str, Client | None] = field(default_factory=dict)
    principals: dict[str, Principal | None] = field(default_factory=dict)
    issuers: dict[str, TrustedIssuer | None] = field(default_factory=dict)
    signing_keys: dict[str, SigningKey | None] = field(default_factory=dict)

    def client(self, client_id: str) -> Client | None:
        return self.clients[client_id]

    def principal(self, subject: str) -> Principal | None:
        return self.principals[subject]

    def issuer(self, issuer: str) -> TrustedIssuer | None:
        return self.issuers[issuer]

    def key(self, kid: str) -> SigningKey | None:
        return self.signing_keys[kid]


def _follow(found: dict[UUID, A], unreadable: set[UUID], fact: Fact) -> None:
    """Fold one fact; leave its stream out where it cannot be read, as the directory does."""
    stream = fact.stream_id
    if stream in unreadable:
        return
    try:
        found[stream] = folded([fact], since=found.get(stream))
    except StreamUnreadable:
        unreadable.add(stream)
        found.pop(stream, None)


def folded(facts: Sequence[Fact], *, since: Any = None) -> Any:
    """Return the aggregate that `facts`, oldest first, lead to from `since` on, which changes.

    Raises StreamUnreadable where one of them cannot be read.
    """
    for fact in facts:
        if fact.event is None:
            raise StreamUnreadable(f"the stream {fact.stream_id} cannot be read")
    return fold([fact.event for fact in facts], since=since)


def _judged(
    token: AccessToken,
    ancestors: Sequence[tuple[str, AccessToken | None]],
    parties: _Parties,
    now: datetime,
) -> tuple[str, str | None]:
    if token.revoked:  # 1
        return "revoked", None
    for name, ancestor in ancestors:  # 2
        if ancestor is not None and ancestor.cut:
            return "void", f"ancestor {name}"
    if token.issued.expires_at <= now:  # 3
        return "expired", None
    behind = (token, *(ancestor for _, ancestor in ancestors if ancestor is not None))
    for one in behind:  # 4
        key = f"key {one.issued.kid}" if key_is_revoked(one.issued.kid, parties) else None
        if because := key or ended_with(one, parties):
            return "void", because
    for name, ancestor in ancestors:  # 5
        if ancestor is None:
            return "suspended", f"ancestor {name} is not in the log"
    missing = (missing_behind(one, parties) for one in behind)  # 5
    because = next((party for party in missing if party is not None), None)
    return ("live", None) if because is None else ("suspended", because)


def _fact(**row: Any) -> Fact:
    stored = StoredEvent(
        row["originator_id"], row["originator_version"], row["topic"], bytes(row["state"])
    )
    try:
        event: Any = _MAPPER.to_domain_event(stored)
    except MapperDeserialisationError:
        event = None
    return Fact(
        row["notification_id"],
        row["recorded_at"].astimezone(UTC),
        row["topic"],
        event,
        row["originator_id"],
        row["originator_version"],
    )


def _topics(kind: type[Recorded]) -> list[str]:
    events: Mapping[str, Any] = vars(kind)
    return [
        vars(event)["TOPIC"]
        for event in events.values()
        if isinstance(event, type) and "TOPIC" in vars(event)
    ]
