"""Tokens that stand on another's word: what each was exchanged from, who acts, what became of it.

One row a token that was exchanged, or issued for an assertion. `root` is the token that the chain
began with, itself where that was a foreign one. What a cut ancestor does to its descendants is for
the reader to draw: the rows say only what happened to each token itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed

from projections.projection import LoggedEvent, Projection, checked_moment, shown_actor
from projections.query import Query

COLUMNS = """(
    jti uuid PRIMARY KEY,
    parent uuid,
    root uuid NOT NULL,
    client_id text NOT NULL,
    subject text NOT NULL,
    actors text[] NOT NULL,
    impersonation boolean NOT NULL,
    issuer text,
    form text NOT NULL,
    grant_type text NOT NULL,
    scope text[] NOT NULL,
    audience text[] NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_by text,
    cut boolean NOT NULL
)"""

_COPY = SQL(
    "COPY {} (jti, parent, root, client_id, subject, actors, impersonation, issuer, form,"
    " grant_type, scope, audience, issued_at, expires_at, cut) FROM STDIN"
)
# The first revocation tells when and by whom; a later one may still cut.
_REVOKE = SQL(
    "UPDATE {} AS known SET revoked_at = coalesce(known.revoked_at, void.at),"
    " revoked_by = coalesce(known.revoked_by, void.by), cut = known.cut OR void.cut"
    " FROM unnest(%b::uuid[], %b::timestamptz[], %b::text[], %b::boolean[])"
    " AS void (jti, at, by, cut) WHERE known.jti = void.jti"
)


def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
    """Copy a row for each token with a descent, then mark those that were revoked."""
    issued = [event for event in events if event.facts.get("descent")]
    if issued:
        with cursor.copy(_COPY.format(table)) as copy:
            for event in issued:
                copy.write_row(_values(event))
    revoked = _revocations(event for event in events if event.topic == "token.revoked")
    if revoked:
        cursor.execute(
            _REVOKE.format(table),
            (
                list(revoked),
                [at for at, _, _ in revoked.values()],
                [by for _, by, _ in revoked.values()],
                [cut for _, _, cut in revoked.values()],
            ),
        )


def _values(event: LoggedEvent) -> tuple[Any, ...]:
    facts = event.facts
    descent = facts["descent"]
    lineage = descent["lineage"]
    vouched = descent["vouched"]
    return (
        event.stream_id,
        lineage[-1] if lineage else None,
        lineage[0] if lineage else event.stream_id,
        facts["client_id"],
        facts["subject"],
        [shown_actor(actor) for actor in descent["actors"]],
        descent["impersonation"],
        vouched["issuer"] if vouched else None,
        facts["form"],
        facts["grant_type"],
        facts["scope"],
        facts["audience"],
        checked_moment(facts["occurred_at"]),
        checked_moment(facts["expires_at"]),
        False,
    )


def _revocations(events: Iterable[LoggedEvent]) -> dict[str, tuple[str, str, bool]]:
    found: dict[str, tuple[str, str, bool]] = {}
    for event in events:
        facts = event.facts
        first = (checked_moment(facts["occurred_at"]), facts["by"], False)
        at, by, cut = found.get(event.stream_id, first)
        found[event.stream_id] = (at, by, cut or facts["descendants"])
    return found


DELEGATIONS = Projection(
    name="delegations",
    columns=COLUMNS,
    key=("jti",),
    topics=frozenset({"token.issued", "token.revoked"}),
    write=write,
    indexes=(("root", "(root, issued_at, jti)"),),
)


@dataclass(frozen=True, slots=True)
class Delegation:
    """A token that stands on another's word; moments are UTC. `actors`: the newest first."""

    jti: UUID
    parent: UUID | None
    root: UUID
    client_id: str
    subject: str
    actors: list[str]
    impersonation: bool
    issuer: str | None
    form: str
    grant_type: str
    scope: list[str]
    audience: list[str]
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    cut: bool


def of_token(jti: UUID) -> Query[Delegation]:
    """Ask for one token's row; there is none for a token that stands on its own."""
    return Query(
        SQL("SELECT * FROM read.delegations WHERE jti = %(jti)s"), {"jti": jti}, _delegation
    )


def below(root: UUID, *, limit: int) -> Query[Delegation]:
    """Ask for all that hangs on the token `root`, the oldest first; itself where it has a row."""
    return Query(
        SQL(
            "SELECT * FROM read.delegations WHERE root = %(root)s"
            " ORDER BY issued_at, jti LIMIT %(limit)s"
        ),
        {"root": root, "limit": limit},
        _delegation,
    )


def _delegation(
    *, issued_at: datetime, expires_at: datetime, revoked_at: datetime | None, **columns: Any
) -> Delegation:
    return Delegation(
        issued_at=issued_at.astimezone(UTC),
        expires_at=expires_at.astimezone(UTC),
        revoked_at=revoked_at.astimezone(UTC) if revoked_at else None,
        **columns,
    )
