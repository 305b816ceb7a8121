"""How much was issued, refused and revoked, over time and by cause: the numbers behind the charts.

Refusals are coalesced in the log; their counts are added up. Of the moment of recording, so that
the index of the audit trail tells where a window is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.sql import SQL

from projections.query import Query

_MAX_CAUSES = 10


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened in one step of a window, the first of which has the number 0."""

    number: int
    issued: int
    denied: int
    revoked: int
    reused: int


@dataclass(frozen=True, slots=True)
class Cause:
    """How often something happened with one `name`: a client, a grant type, a reason."""

    name: str
    count: int


_OVER_TIME = SQL(
    """
    SELECT floor(extract(epoch FROM recorded_at - %(since)s) / %(seconds)s)::int AS number,
           count(*) FILTER (WHERE topic = 'token.issued')::bigint AS issued,
           coalesce(sum((detail ->> 'count')::bigint)
                    FILTER (WHERE topic = 'grant.denied'), 0)::bigint AS denied,
           count(*) FILTER (WHERE topic = 'token.revoked')::bigint AS revoked,
           count(*) FILTER (WHERE topic = 'family.reuse_detected')::bigint AS reused
      FROM read.audit_trail
     WHERE recorded_at >= %(since)s AND recorded_at < %(until)s
       AND topic IN ('token.issued', 'grant.denied', 'token.revoked', 'family.reuse_detected')
     GROUP BY 1 ORDER BY 1
    """
)
_CAUSES = {
    "issued": SQL(
        """
        SELECT coalesce(client_id, '') AS name, count(*)::bigint AS count
          FROM read.audit_trail
         WHERE recorded_at >= %(since)s AND recorded_at < %(until)s AND topic = 'token.issued'
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
        """
    ),
    "grant_types": SQL(
        """
        SELECT coalesce(grant_type, '') AS name, count(*)::bigint AS count
          FROM read.audit_trail
         WHERE recorded_at >= %(since)s AND recorded_at < %(until)s AND topic = 'token.issued'
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
        """
    ),
    "reasons": SQL(
        """
        SELECT coalesce(reason, error, '') AS name,
               sum((detail ->> 'count')::bigint)::bigint AS count
          FROM read.audit_trail
         WHERE recorded_at >= %(since)s AND recorded_at < %(until)s AND topic = 'grant.denied'
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
        """
    ),
    "refused": SQL(
        """
        SELECT coalesce(client_id, '') AS name,
               sum((detail ->> 'count')::bigint)::bigint AS count
          FROM read.audit_trail
         WHERE recorded_at >= %(since)s AND recorded_at < %(until)s AND topic = 'grant.denied'
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
        """
    ),
}


def over_time(*, since: datetime, until: datetime, step: timedelta) -> Query[Bucket]:
    """Ask what happened in each step from `since` (inclusive) to `until`, but empty ones."""
    values = {"since": since, "until": until, "seconds": step.total_seconds()}
    return Query(_OVER_TIME, values, Bucket)


def most_frequent(what: str, *, since: datetime, until: datetime) -> Query[Cause]:
    """Ask for the ten most frequent names, the most frequent first.

    `what` is issued (tokens by client), grant_types, reasons or refused (refusals by client).
    """
    return Query(_CAUSES[what], {"since": since, "until": until, "limit": _MAX_CAUSES}, Cause)
