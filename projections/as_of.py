"""Time travel: a moment of the past as a position of the log, and a position as a moment.

The log has one order, so what the service knew at a moment is a prefix of it. A moment stands for
the last position before the first event that was recorded later: the clock that recorded them may
have been set back, the order of the log never is.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.sql import SQL

from projections.audit_trail import last_position
from projections.query import Asking, Query

AGO = re.compile(r"-([0-9]{1,5})([dhms])", re.ASCII)
"""A moment so long before now."""
_UNIT_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class AsOf:
    """The log up to and with `position`; `moment` (UTC) is then, for what depends on the time."""

    position: int
    moment: datetime


class UnreadableAsOf(ValueError):
    """Neither a position of the log nor a moment; the message says what is."""


def parse_as_of(text: str, *, now: datetime) -> int | datetime:
    """Return the position or the moment (UTC) that `text` names.

    A position is decimal digits; a moment is ISO 8601, UTC where it has no offset, a date alone
    being its first moment; "-90d", "-12h" or "-30m" are so long before `now`.

    Raises UnreadableAsOf.
    """
    given = text.strip()
    if given.isascii() and given.isdigit():
        if len(given) > 18:
            raise UnreadableAsOf(f"{given}: the log has no such position")
        return int(given)
    if (ago := _ago(given)) is not None:
        return now - ago
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableAsOf(
            f"{given!r}: a moment such as 2026-03-03T12:00:00Z or -90d, or a position such as 1042"
        ) from None


def _ago(text: str) -> timedelta | None:
    found = AGO.fullmatch(text)
    return timedelta(seconds=int(found[1]) * _UNIT_SECONDS[found[2]]) if found else None


def resolve(asked: int | datetime | None, *, now: datetime) -> Asking[AsOf]:
    """Ask query after query and return the prefix of the log that `asked` means; None is `now`.

    A generator, so that blocking and async code ask in the same way. Positions are those of the
    audit trail: one above what it holds means all it holds, and so does a moment still to come.
    """
    (head,) = yield last_position()
    if asked is None:
        return AsOf(head, now)
    if isinstance(asked, datetime):
        (later,) = yield _first_after(asked)
        return AsOf(head if later is None else later - 1, min(asked, now))
    if asked >= head:
        return AsOf(head, now)
    moments = yield _recorded_at(asked)
    return AsOf(asked, moments[0] if moments else datetime.fromtimestamp(0, UTC))


def resolve_in_log(asked: int | datetime | None, *, now: datetime) -> Asking[AsOf]:
    """Ask likewise, of the log itself: for what is folded from it rather than read from a model.

    Only the events that the audit trail has yet to take over are searched one by one.
    """
    (head,) = yield log_head()
    if asked is None:
        return AsOf(head, now)
    if isinstance(asked, datetime):
        (later,) = yield _first_logged_after(asked)
        return AsOf(head if later is None else later - 1, min(asked, now))
    if asked >= head:
        return AsOf(head, now)
    moments = yield _logged_at(asked)
    return AsOf(asked, moments[0] if moments else datetime.fromtimestamp(0, UTC))


def log_head() -> Query[int]:
    """Ask for the last position of the log, 0 where it is empty."""
    return Query(
        SQL("SELECT coalesce(max(notification_id), 0) AS position FROM grantledger.ledger_events"),
        {},
        lambda *, position: int(position),
    )


def _first_logged_after(moment: datetime) -> Query[int | None]:
    return Query(
        SQL(
            "SELECT coalesce("
            " (SELECT min(position) FROM read.audit_trail WHERE recorded_at > %(moment)s),"
            " (SELECT min(notification_id) FROM grantledger.ledger_events"
            "  WHERE recorded_at > %(moment)s AND notification_id >"
            "   (SELECT coalesce(max(position), 0) FROM read.audit_trail))) AS position"
        ),
        {"moment": moment},
        lambda *, position: position,
    )


def _logged_at(position: int) -> Query[datetime]:
    return Query(
        SQL(
            "SELECT recorded_at FROM grantledger.ledger_events"
            " WHERE notification_id <= %(position)s ORDER BY notification_id DESC LIMIT 1"
        ),
        {"position": position},
        lambda *, recorded_at: recorded_at.astimezone(UTC),
    )


def _first_after(moment: datetime) -> Query[int | None]:
    return Query(
        SQL(
            "SELECT min(position) AS position FROM read.audit_trail WHERE recorded_at > %(moment)s"
        ),
        {"moment": moment},
        lambda *, position: position,
    )


def _recorded_at(position: int) -> Query[datetime]:
    return Query(
        SQL(
            "SELECT recorded_at FROM read.audit_trail WHERE position <= %(position)s"
            " ORDER BY position DESC LIMIT 1"
        ),
        {"position": position},
        lambda *, recorded_at: recorded_at.astimezone(UTC),
    )
