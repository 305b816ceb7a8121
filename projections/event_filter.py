"""What auditors narrow the audit trail by; every filter composes with the others and the cursor."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.sql import SQL, Composable

_CONDITIONS = {
    "client_id": SQL("client_id = %(client_id)s"),
    "subject": SQL("subject = %(subject)s"),
    # Who did it, or who acted for the subject (`act`, RFC 8693, Section 4.1).
    "actor": SQL("(actor = %(actor)s OR (actors IS NOT NULL AND actors @> ARRAY[%(actor)s]))"),
    "jti": SQL("jti = %(jti)s"),
    "family_id": SQL("family_id = %(family_id)s"),
    "session_id": SQL("session_id = %(session_id)s"),
    "grant_type": SQL("grant_type = %(grant_type)s"),
    "outcome": SQL("outcome = %(outcome)s"),
    "address": SQL("address = %(address)s"),
    "topic": SQL("topic = %(topic)s"),
    # Of the moment it was recorded, which grows with the position as far as the clock does.
    "since": SQL("recorded_at >= %(since)s"),
    "until": SQL("recorded_at < %(until)s"),
    "after": SQL("position > %(after)s"),
    "before": SQL("position < %(before)s"),
}
_NAMES_PARTIAL_INDEX = SQL("topic <> 'token.issued'")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which entries; None asks for no matter which.

    `actor` is whoever did it or acted for the subject. `since` (inclusive) and `until` (exclusive)
    are moments of recording; `after` and `before` are positions, both exclusive.
    """

    client_id: str | None = None
    subject: str | None = None
    actor: str | None = None
    jti: UUID | None = None
    family_id: str | None = None
    session_id: str | None = None
    grant_type: str | None = None
    outcome: str | None = None
    address: str | None = None
    topic: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    before: int | None = None

    @property
    def is_selective(self) -> bool:
        """Whether an index leads to the entries: of one client, person, token or rare topic."""
        names = (self.client_id, self.subject, self.actor, self.jti, self.family_id)
        rare = self.topic is not None and self.topic != "token.issued"
        return rare or self.session_id is not None or any(name is not None for name in names)

    def condition(self) -> Composable:
        """Return the condition on the columns of the audit trail, for WHERE."""
        conditions = [_CONDITIONS[name] for name in self.parameters()]
        if self.topic is not None and self.topic != "token.issued":
            conditions.append(_NAMES_PARTIAL_INDEX)
        return SQL(" AND ").join(conditions) if conditions else SQL("true")

    def parameters(self) -> dict[str, Any]:
        """Return the values the condition names."""
        values = {name: getattr(self, name) for name in _CONDITIONS}
        return {name: value for name, value in values.items() if value is not None}
