"""Which months may leave the log, and what keeps the others.

A month leaves when nothing living is in it and nothing living leans on it:

1. It is past, and older than the setting: counted in whole months.
2. Its streams rest: no event was recorded in them since that limit. A family that was begun in it
   and revoked last week keeps it.
3. Every read model is complete up to its last event; what follows is asked of the audit trail.
4. No family of refresh tokens was started in it that is neither ended nor expired.
5. No session was started in it that is neither ended nor expired by any of its logins (each
   prolongs it), or that a living family names.
6. No token was issued in it that has not expired, revoked or not.
7. No older month stays. A session knows families younger than itself: what is kept may lead to
   what is younger, never to what has left. And the gap of the log is at its beginning alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.sql import SQL

from projections.registry import PROJECTIONS
from projections.retention.months import Month, attached_months
from projections.status import projection_status

_HELD = SQL(
    "SELECT count(*) AS rows, coalesce(min(notification_id), 0) AS first_position,"
    " coalesce(max(notification_id), 0) AS last_position, max(recorded_at) AS last_recorded_at"
    " FROM {}"
)
_LIVING_FAMILIES = (
    "SELECT started.family_id, started.session_id FROM read.audit_trail AS started"
    " WHERE started.topic = 'family.started' AND started.expires_at > %(now)s"
    " AND NOT EXISTS (SELECT FROM read.audit_trail AS ended"
    " WHERE ended.family_id = started.family_id"
    " AND ended.topic IN ('family.revoked', 'family.reuse_detected'))"
)
_LIVING = (
    "WITH families AS MATERIALIZED (" + _LIVING_FAMILIES + "),"  # noqa: S608  # nothing foreign
    " sessions AS MATERIALIZED (SELECT login.session_id FROM read.audit_trail AS login"
    " WHERE login.topic IN ('session.started', 'session.authenticated')"
    " AND login.expires_at > %(now)s AND NOT EXISTS (SELECT FROM read.audit_trail AS ended"
    " WHERE ended.session_id = login.session_id AND ended.topic = 'session.ended')"
    " UNION SELECT session_id FROM families)"
    " SELECT (SELECT count(*) FROM families WHERE family_id::uuid >= %(lower)s"
    " AND family_id::uuid < %(upper)s) AS families,"
    " (SELECT count(*) FROM sessions WHERE CASE WHEN session_id ~ '^sess_[0-9a-f]{32}$'"
    " THEN substr(session_id, 6)::uuid >= %(lower)s AND substr(session_id, 6)::uuid < %(upper)s"
    " ELSE false END) AS sessions,"
    " (SELECT count(*) FROM read.audit_trail WHERE topic = 'token.issued'"
    " AND expires_at > %(now)s AND jti >= %(lower)s AND jti < %(upper)s) AS tokens"
)


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """A month: what its partition holds, and what keeps it; nothing: it may leave."""

    month: Month
    rows: int
    first_position: int
    last_position: int
    last_recorded_at: datetime | None
    older: bool
    kept_by: tuple[str, ...]

    @property
    def leaves(self) -> bool:
        """Whether it is due, and nothing keeps it."""
        return not self.kept_by


def plan(
    connection: Connection[Any], *, retention_months: int | None, now: datetime
) -> list[MonthPlan]:
    """Return every attached month, oldest first. Raises psycopg.Error.

    None as `retention_months` keeps events for ever.
    """
    limit = None if retention_months is None else months_before(now, retention_months)
    complete_to = min(one.position for one in projection_status().fetch(connection))
    planned: list[MonthPlan] = []
    for month in attached_months(connection):
        held = _held(connection, month)
        older = limit is not None and month.end <= limit
        kept_by = tuple(_keeping(connection, month, held, limit, complete_to, now))
        stays = next((one for one in planned if one.rows and one.kept_by), None)
        if stays is not None and not kept_by:  # 7
            kept_by = (f"an older month stays: {stays.month.partition}",)
        planned.append(MonthPlan(month=month, older=older, kept_by=kept_by, **held))
    return planned


def months_before(now: datetime, months: int) -> datetime:
    """Return the first moment of the month that lies `months` before that of `now` (UTC)."""
    number = now.year * 12 + now.month - 1 - months
    return datetime(max(number // 12, 1), number % 12 + 1, 1, tzinfo=UTC)


def _held(connection: Connection[Any], month: Month) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_HELD.format(month.table)).fetchone()
    assert found is not None  # an aggregate without GROUP BY
    return found


def _keeping(
    connection: Connection[Any],
    month: Month,
    held: dict[str, Any],
    limit: datetime | None,
    complete_to: int,
    now: datetime,
) -> Iterator[str]:
    if limit is None:  # 1
        yield "GRANTLEDGER_RETENTION_MONTHS is not set: kept for ever"
        return
    if month.end > limit:
        yield _why_young(month, now)
        return
    if held["rows"] == 0:
        yield "it is empty"
        return
    if held["last_recorded_at"] >= limit:  # 2
        yield f"its streams went on until {held['last_recorded_at'].astimezone(UTC):%Y-%m-%d}"
    if complete_to < held["last_position"]:  # 3
        behind = ", ".join(projection.name for projection in PROJECTIONS)
        yield f"read models ({behind}) are complete to {complete_to} only"
        return
    yield from _living(connection, month, now)


def _why_young(month: Month, now: datetime) -> str:
    if now < month.first_moment:
        return "a month to come"
    return "the present month" if now < month.end else "younger than the setting"


def _living(connection: Connection[Any], month: Month, now: datetime) -> Iterator[str]:
    with connection.cursor(row_factory=dict_row) as cursor:
        asked = {"now": now, "lower": month.lower, "upper": month.upper}
        found = cursor.execute(_LIVING, asked).fetchone()
    assert found is not None
    for name, what in (  # 4, 5, 6
        ("families", "living families of refresh tokens"),
        ("sessions", "sessions that live, or that a living family names"),
        ("tokens", "unexpired tokens"),
    ):
        if found[name]:
            yield f"{what}: {found[name]}"
