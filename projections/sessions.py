"""Who is logged in, and which families of refresh tokens there are: one row a session or family.

What ends one is decided on its stream; here is how it is found by person and by client.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed

from projections.projection import LoggedEvent, Projection, checked_moment, indexed
from projections.query import Query

COLUMNS = """(
    kind text NOT NULL,
    id text NOT NULL,
    subject text NOT NULL,
    client_id text,
    session_id text NOT NULL,
    methods text[],
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text,
    PRIMARY KEY (kind, id)
)"""

PAGE = 500
"""How many sessions are listed at once, where nothing else is asked for."""

_ALIVE = SQL("ended_at IS NULL AND expires_at > %(now)s")
_STARTED = SQL(
    "INSERT INTO {} (kind, id, subject, client_id, session_id, methods, started_at, expires_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_RENEWED = SQL("UPDATE {} SET expires_at = %s, methods = %s WHERE kind = 'session' AND id = %s")
_ENDED = SQL("UPDATE {} SET ended_at = %s, ended_by = %s WHERE kind = %s AND id = %s")


def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
    """Write a row for each session and family that began, and close those that ended."""
    for event in events:
        facts, topic = event.facts, event.topic
        if topic in ("session.started", "family.started"):
            kind = topic.partition(".")[0]
            cursor.execute(
                _STARTED.format(table),
                (
                    kind,
                    indexed(facts["session_id"] if kind == "session" else facts["family_id"]),
                    indexed(facts["subject"]),
                    facts.get("client_id"),
                    indexed(facts["session_id"]),
                    facts.get("methods"),
                    checked_moment(facts["occurred_at"]),
                    checked_moment(facts["expires_at"]),
                ),
            )
        elif topic == "session.authenticated":
            cursor.execute(
                _RENEWED.format(table),
                (checked_moment(facts["expires_at"]), facts["methods"], facts["session_id"]),
            )
        else:
            session = topic == "session.ended"
            cursor.execute(
                _ENDED.format(table),
                (
                    checked_moment(facts["occurred_at"]),
                    facts.get("by") or "reuse",
                    "session" if session else "family",
                    facts["session_id"] if session else facts["family_id"],
                ),
            )


SESSIONS = Projection(
    name="sessions",
    columns=COLUMNS,
    key=("kind", "id"),
    topics=frozenset(
        {
            "session.started",
            "session.authenticated",
            "session.ended",
            "family.started",
            "family.revoked",
            "family.reuse_detected",
        }
    ),
    write=write,
    indexes=(
        ("subject", "(subject, started_at)"),
        ("session", "(session_id)"),
    ),
)


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session or a family; moments are UTC. `client_id` is None for a session."""

    kind: str
    id: str
    subject: str
    client_id: str | None
    session_id: str
    methods: list[str] | None
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None


def logins(
    subject: str | None = None,
    *,
    now: datetime | None = None,
    before: str | None = None,
    limit: int = PAGE,
) -> Query[SessionEntry]:
    """Ask for sessions, newest first, `limit` at most; with `now` only those alive then.

    Pages go on with `before`, at the last id seen: ids are in the order in which sessions began.
    """
    conditions = [SQL("kind = 'session'")]
    if subject is not None:
        conditions.append(SQL("subject = %(subject)s"))
    if now is not None:
        conditions.append(_ALIVE)
    if before is not None:
        conditions.append(SQL("id < %(before)s"))
    return Query(
        SQL("SELECT * FROM read.sessions WHERE {} ORDER BY id DESC LIMIT %(limit)s").format(
            SQL(" AND ").join(conditions)
        ),
        {"subject": subject, "now": now, "before": before, "limit": limit},
        _entry,
    )


def families_of(subject: str, client_id: str | None, *, now: datetime) -> Query[UUID]:
    """Ask for every family of the person that is alive at `now`, those that the client holds where
    one is named.

    There is no limit: an end of them may leave none, and a client can make any number.
    """
    return Query(
        SQL(
            "SELECT id::uuid AS family_id FROM read.sessions WHERE kind = 'family'"
            " AND subject = %(subject)s"
            " AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s) AND {}"
        ).format(_ALIVE),
        {"subject": subject, "client_id": client_id, "now": now},
        lambda *, family_id: family_id,
    )


def authorizing(subject: str, *, since: datetime) -> Query[str]:
    """Ask for every session of the person that was not ended and could authorize after `since`.

    There is no limit, as above.
    """
    return Query(
        SQL(
            "SELECT id FROM read.sessions WHERE kind = 'session' AND subject = %(subject)s"
            " AND ended_at IS NULL AND expires_at > %(since)s"
        ),
        {"subject": subject, "since": since},
        lambda *, id: str(id),  # noqa: A006  # the column's name
    )


def to_end(subject: str, *, now: datetime) -> Query[str]:
    """Ask for every session of the person that has something alive at `now`: itself, or a family of
    refresh tokens, which may outlive it. There is no limit, as above.
    """
    return Query(
        SQL(
            "SELECT DISTINCT session_id FROM read.sessions WHERE subject = %(subject)s AND {}"
        ).format(_ALIVE),
        {"subject": subject, "now": now},
        lambda *, session_id: str(session_id),
    )


def holders(subject: str, *, now: datetime) -> Query[tuple[str, datetime]]:
    """Ask which clients hold families of the person that are alive at `now`, and since when."""
    return Query(
        SQL(
            "SELECT client_id, min(started_at) AS since FROM read.sessions"
            " WHERE kind = 'family' AND subject = %(subject)s AND {} GROUP BY client_id"
        ).format(_ALIVE),
        {"subject": subject, "now": now},
        lambda *, client_id, since: (client_id, since.astimezone(UTC)),
    )


def of_session(session_id: str) -> Query[SessionEntry]:
    """Ask for one session and the families under it."""
    return Query(
        SQL("SELECT * FROM read.sessions WHERE session_id = %(session_id)s ORDER BY kind DESC, id"),
        {"session_id": session_id},
        _entry,
    )


def _entry(
    *,
    started_at: datetime,
    expires_at: datetime,
    ended_at: datetime | None,
    **columns: str | None,
) -> SessionEntry:
    return SessionEntry(
        started_at=started_at.astimezone(UTC),
        expires_at=expires_at.astimezone(UTC),
        ended_at=ended_at.astimezone(UTC) if ended_at else None,
        **columns,  # type: ignore[arg-type]  # the row's own columns, by name
    )


def position() -> Query[int]:
    """Ask up to which log position the read model is complete."""
    return Query(
        SQL("SELECT position FROM grantledger.projections WHERE name = 'sessions'"),
        {},
        lambda *, position: int(position),
    )
