"""What was changed about one client: each act on its configuration, as the audit trail has it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg.sql import SQL

from projections.audit_trail import OUTCOMES
from projections.query import Query

_TOPICS = sorted(
    topic for topic in OUTCOMES if topic.startswith("client.") and topic != "client.used"
)
_CHANGES = SQL(
    "SELECT position, recorded_at, topic, coalesce(actor, '') AS by, coalesce(reason, '') AS why"
    " FROM read.audit_trail WHERE client_id = %(client_id)s AND topic = ANY (%(topics)s)"
    # The condition of the index on topics: those of clients are few.
    " AND topic <> 'token.issued' ORDER BY position"
)


@dataclass(frozen=True, slots=True)
class Change:
    """An act on a client: who did it, and the reason that was given; `recorded_at` is UTC."""

    position: int
    recorded_at: datetime
    topic: str
    by: str
    why: str


def of_client(client_id: str) -> Query[Change]:
    """Ask for the changes of one client, oldest first: as many as its stream has events."""
    return Query(_CHANGES, {"client_id": client_id, "topics": _TOPICS}, _change)


def _change(*, position: int, recorded_at: datetime, topic: str, by: str, why: str) -> Change:
    return Change(position, recorded_at.astimezone(UTC), topic, by, why)
