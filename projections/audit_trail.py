"""The audit trail: one row for each event, whatever its topic, in the order of the log.

What auditors ask by has a column of its own; every other fact stays in `detail`. Empty strings
("nothing was presented") read as NULL. No secret enters: not even the verifier of one.

| facts          | column   |
|----------------|----------|
| `by`           | actor    |
| `why`          | reason   |
| stream id      | jti, of topics `token.*` |
| `descent`      | actors: who acts for the subject, the present one first |

An event that cannot be taken (projections.set_aside) has a row of the topic SET_ASIDE in its place:
its `detail` names the topic and the stream of the event, and why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed

from projections.event_filter import EventFilter
from projections.projection import (
    LoggedEvent,
    Projection,
    SetAside,
    checked_moment,
    indexed,
    shown_actor,
)
from projections.query import Query

COLUMNS = """(
    position bigint PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    topic text NOT NULL,
    outcome text NOT NULL,
    client_id text,
    subject text,
    jti uuid,
    session_id text,
    grant_type text,
    error text,
    reason text,
    actor text,
    kid text,
    address text,
    request_id text,
    traceparent text,
    scope text[],
    audience text[],
    family_id text,
    actors text[],
    expires_at timestamptz,
    detail jsonb NOT NULL
)"""
INDEXES = (
    ("client", "(client_id, position) WHERE client_id IS NOT NULL"),
    ("subject", "(subject, position) WHERE subject IS NOT NULL"),
    ("jti", "(jti, position) WHERE jti IS NOT NULL"),
    ("family", "(family_id, position) WHERE family_id IS NOT NULL"),
    ("session", "(session_id, position) WHERE session_id IS NOT NULL"),
    ("actor", "(actor, position) WHERE actor IS NOT NULL"),
    ("actors", "USING gin (actors) WHERE actors IS NOT NULL"),
    # Both grow with the position, nearly: a few pages tell where a moment is.
    ("recorded", "USING brin (recorded_at) WITH (pages_per_range = 16)"),
    ("expires", "USING brin (expires_at) WITH (pages_per_range = 16)"),
    # The one frequent topic needs none: the table in its order is dense with it.
    ("topic", "(topic, position) WHERE topic <> 'token.issued'"),
)

SUCCESS, FAILURE = "success", "failure"
SET_ASIDE = "event.set_aside"
"""Stands in for an event that the audit trail cannot take; no event itself has this topic."""
OUTCOMES: Mapping[str, str] = {
    "token.issued": SUCCESS,
    "token.revoked": SUCCESS,
    "grant.denied": FAILURE,
    "denial_log.started": SUCCESS,
    "client.registered": SUCCESS,
    "client.secret_added": SUCCESS,
    "client.secret_retired": SUCCESS,
    "client.scopes_changed": SUCCESS,
    "client.grant_types_changed": SUCCESS,
    "client.audiences_changed": SUCCESS,
    "client.owner_changed": SUCCESS,
    "client.token_policy_changed": SUCCESS,
    "client.redirects_changed": SUCCESS,
    "client.refresh_policy_changed": SUCCESS,
    "client.delegation_changed": SUCCESS,
    "client.authentication_changed": SUCCESS,
    "client.authorization_details_types_changed": SUCCESS,
    "client.renamed": SUCCESS,
    "client.registration_changed": SUCCESS,
    "client.registration_token_set": SUCCESS,
    "client.disabled": SUCCESS,
    "client.enabled": SUCCESS,
    "client.used": SUCCESS,
    "client_usage.started": SUCCESS,
    "principal.registered": SUCCESS,
    "principal.roles_assigned": SUCCESS,
    "principal.deactivated": SUCCESS,
    "principal.reactivated": SUCCESS,
    "principal.password_set": SUCCESS,
    "principal.passkey_added": SUCCESS,
    "principal.passkey_removed": SUCCESS,
    "principal.identity_linked": SUCCESS,
    "session.started": SUCCESS,
    "session.authenticated": SUCCESS,
    "session.client_authorized": SUCCESS,
    "session.ended": SUCCESS,
    "code.issued": SUCCESS,
    "code.redeemed": SUCCESS,
    "code.replayed": FAILURE,
    "family.started": SUCCESS,
    "family.rotated": SUCCESS,
    "family.used": SUCCESS,
    "family.rotation_retried": SUCCESS,
    "family.reuse_detected": FAILURE,
    "family.revoked": SUCCESS,
    "consents.opened": SUCCESS,
    "consent.given": SUCCESS,
    "consent.withdrawn": SUCCESS,
    "device.requested": SUCCESS,
    "device.approved": SUCCESS,
    "device.denied": FAILURE,
    "device.redeemed": SUCCESS,
    "issuer.added": SUCCESS,
    "issuer.terms_replaced": SUCCESS,
    "issuer.removed": SUCCESS,
    "initial_access.issued": SUCCESS,
    "initial_access.used": SUCCESS,
    "initial_access.revoked": SUCCESS,
    "key.generated": SUCCESS,
    "key.activated": SUCCESS,
    "key.retired": SUCCESS,
    "key.revoked": SUCCESS,
    "key.rewrapped": SUCCESS,
    "audit_export.started": SUCCESS,
    "audit_export.finished": SUCCESS,
    "retention.opened": SUCCESS,
    "retention.detached": SUCCESS,
    "retention.restored": SUCCESS,
    "log.went_back": FAILURE,
    "audit_reading.started": SUCCESS,
    "audit.read": SUCCESS,
    "forgery_log.started": SUCCESS,
    "forged_token.presented": FAILURE,
}
"""Every topic by name, with what PCI DSS 10.2.2 calls its success or failure indication."""

_IN_COLUMNS = frozenset(
    {
        "occurred_at",
        "client_id",
        "subject",
        "jti",
        "session_id",
        "grant_type",
        "error",
        "reason",
        "why",
        "by",
        "kid",
        "address",
        "request_id",
        "traceparent",
        "scope",
        "audience",
        "family_id",
        "expires_at",
    }
)
_WITHHELD = frozenset({"verifier"})
_SAID_BY_TOPIC = frozenset({"originator_topic"})
_NOT_IN_DETAIL = _IN_COLUMNS | _WITHHELD | _SAID_BY_TOPIC

_COPY = SQL(
    "COPY {} (position, occurred_at, recorded_at, topic, outcome, client_id, subject, jti,"
    " session_id, grant_type, error, reason, actor, kid, address, request_id, traceparent,"
    " scope, audience, family_id, actors, expires_at, detail) FROM STDIN"
)
_STAND_IN = SQL(
    "INSERT INTO {} (position, occurred_at, recorded_at, topic, outcome, detail)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_encode = msgspec.json.Encoder().encode


def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
    """Copy one row an event into `table`. Raises KeyError for a topic without an outcome."""
    with cursor.copy(_COPY.format(table)) as copy:
        write_row = copy.write_row
        for event in events:
            write_row(_values(event))


def stand_in(cursor: Cursor[TupleRow], table: Composed, found: Sequence[SetAside]) -> None:
    """Write a row for each event that cannot be taken, so that its position is no silent gap."""
    cursor.executemany(
        _STAND_IN.format(table),
        [
            (
                one.position,
                one.recorded_at,
                one.recorded_at,
                SET_ASIDE,
                FAILURE,
                _encode(
                    {"topic": one.topic, "stream_id": one.stream_id, "cause": one.reason}
                ).decode(),
            )
            for one in found
        ],
    )


def _values(event: LoggedEvent) -> tuple[Any, ...]:
    position, recorded_at, topic, stream_id, facts = event
    get = facts.get
    return (
        position,
        checked_moment(facts["occurred_at"]),
        recorded_at,
        topic,
        OUTCOMES[topic],
        indexed(get("client_id")) or None,
        indexed(get("subject")) or None,
        stream_id if topic.startswith("token.") else get("jti"),
        indexed(get("session_id")) or None,
        get("grant_type") or None,
        get("error") or None,
        get("reason") or get("why") or None,
        indexed(get("by")) or None,
        get("kid") or None,
        get("address") or None,
        get("request_id") or None,
        get("traceparent") or None,
        _array(get("scope")),
        _array(get("audience")),
        indexed(get("family_id")) or None,
        _array(_acting(facts)),
        checked_moment(ends) if (ends := get("expires_at")) else None,
        _encode(
            {
                name: fact
                for name, fact in facts.items()
                if fact is not None and name not in _NOT_IN_DETAIL
            }
        ).decode(),
    )


def _acting(facts: Mapping[str, Any]) -> list[str] | None:
    descent = facts.get("descent")
    if not descent or not descent["actors"]:
        return None
    return [indexed(shown_actor(actor)) for actor in descent["actors"]]


def _array(names: list[str] | None) -> str | None:
    return None if names is None else _array_literal(tuple(names))


@lru_cache(maxsize=4096)
def _array_literal(names: tuple[str, ...]) -> str:
    # PostgreSQL's own notation (Section 8.15.2 of its manual), as COPY in text form takes it.
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"


AUDIT_TRAIL = Projection(
    name="audit_trail",
    columns=COLUMNS,
    key=("position",),
    topics=None,
    write=write,
    indexes=INDEXES,
    version=2,
    in_any_order=True,
    stand_in=stand_in,
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of the audit trail; moments are UTC. `position` is the cursor."""

    position: int
    occurred_at: datetime
    recorded_at: datetime
    topic: str
    outcome: str
    client_id: str | None
    subject: str | None
    jti: UUID | None
    session_id: str | None
    grant_type: str | None
    error: str | None
    reason: str | None
    actor: str | None
    kid: str | None
    address: str | None
    request_id: str | None
    traceparent: str | None
    scope: list[str] | None
    audience: list[str] | None
    family_id: str | None
    actors: list[str] | None
    expires_at: datetime | None
    detail: dict[str, Any]


EVERYTHING = EventFilter()


def search(
    which: EventFilter = EVERYTHING, *, newest_first: bool = False, limit: int = 100
) -> Query[AuditEntry]:
    """Ask for the entries that fit every filter given.

    Pages go on with `after`, or with `before` and `newest_first`, at the last position seen.
    """
    return Query(
        SQL("SELECT * FROM read.audit_trail WHERE {} ORDER BY position {} LIMIT %(limit)s").format(
            which.condition(), SQL("DESC") if newest_first else SQL("ASC")
        ),
        {**which.parameters(), "limit": limit},
        _entry,
    )


def last_position() -> Query[int]:
    """Ask for the last position of the audit trail, 0 where it is empty."""
    return Query(
        SQL("SELECT coalesce(max(position), 0) AS position FROM read.audit_trail"),
        {},
        lambda *, position: int(position),
    )


def of_token(jti: UUID, *, limit: int = 1000) -> Query[AuditEntry]:
    """Ask for everything that happened to one token, oldest first."""
    return search(EventFilter(jti=jti), limit=limit)


def _entry(
    *, occurred_at: datetime, recorded_at: datetime, expires_at: datetime | None, **columns: Any
) -> AuditEntry:
    return AuditEntry(
        occurred_at=occurred_at.astimezone(UTC),
        recorded_at=recorded_at.astimezone(UTC),
        expires_at=expires_at.astimezone(UTC) if expires_at else None,
        **columns,
    )
