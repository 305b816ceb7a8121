"""What no operator may overlook: conditions that the log or its read models show to be wrong.

An alarm stands for as long as its source finds it; nothing is switched off by hand. That of a log
that went back stands for LOG_WENT_BACK_DAYS; the record of it stays for good. Readiness, the
metrics, `grantledger doctor` and the console's overview show every alarm that stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.errors import UndefinedTable
from psycopg.sql import SQL

from application.directory import UnreadableStream
from projections.forged_tokens import LEAKED_KEYS
from projections.query import Query


@dataclass(frozen=True, slots=True)
class Alarm:
    """One condition that stands.

    `name` is the name of its source. `found` says what is wrong, `fix` what to do about it, `since`
    when it was first seen (UTC). `/readyz` shows `name` and `since` to strangers, never `found`.
    """

    name: str
    found: str
    fix: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AlarmSource:
    """A question whose every answer is an alarm. `query` is answered quickly on any log.

    `name` is a label of the metrics, as "forged_tokens".
    """

    name: str
    query: Query[Alarm]


def standing(source: AlarmSource, connection: Connection[Any]) -> list[Alarm]:
    """Return the alarms of `source` that stand. Raises psycopg.Error.

    A read model that was never made has not seen anything yet: that it lacks is told elsewhere.
    """
    try:
        with connection.transaction():
            return source.query.fetch(connection)
    except UndefinedTable:
        return []


async def standing_async(source: AlarmSource, connection: AsyncConnection[Any]) -> list[Alarm]:
    """Return the same, over an async connection."""
    try:
        async with connection.transaction():
            return await source.query.fetch_async(connection)
    except UndefinedTable:
        return []


def _set_aside(
    *, projection: str, events: int, position: int, topic: str, reason: str, since: datetime
) -> Alarm:
    number = "1 event" if events == 1 else f"{events:,} events"
    return Alarm(
        "set_aside_events",
        found=f"{projection} lacks {number} that it cannot take; the first is at position"
        f" {position} ({topic}: {reason})",
        fix="find out who recorded it; once a version that can take it is installed, run"
        f" `grantledger projections rebuild {projection}`",
        since=since.astimezone(UTC),
    )


SET_ASIDE_EVENTS = AlarmSource(
    "set_aside_events",
    Query(
        SQL(
            "SELECT DISTINCT ON (projection) projection, set_aside_events.position, topic, reason,"
            " count(*) OVER (PARTITION BY projection)::bigint AS events,"
            " min(set_aside_at) OVER (PARTITION BY projection) AS since"
            " FROM grantledger.set_aside_events"
            # Of the builds that are shown: a rebuild that goes on has marks of its own.
            " JOIN grantledger.projections ON name = projection"
            " AND projections.build = set_aside_events.build"
            " ORDER BY projection, set_aside_events.position"
        ),
        {},
        _set_aside,
    ),
)

UNREADABLE_STREAMS = "unreadable_streams"


def unreadable_streams(streams: Sequence[UnreadableStream]) -> list[Alarm]:
    """Return an alarm for the streams that a process leaves out of its directory, if there are any.

    Of no source: which streams it left out is known to each process itself.
    """
    if not streams:
        return []
    first = min(streams, key=lambda one: one.position)
    number = "1 stream" if len(streams) == 1 else f"{len(streams):,} streams"
    return [
        Alarm(
            UNREADABLE_STREAMS,
            found=f"{number} of clients, principals, issuers or keys cannot be read, and all that"
            f" stands on them is refused; the first is {first.stream_id}, for the event at position"
            f" {first.position} ({first.topic})",
            fix="find out who recorded it; a version that can read it takes the stream in again",
            since=min(one.since for one in streams),
        )
    ]


LOG_WENT_BACK_DAYS = 7
"""How long it stands: no token that was lost lives longer than a day, and a week of work has a
morning on which somebody looks.
"""
_LOG_WENT_BACK = SQL(
    "SELECT 'log_went_back' AS name, format('what was recorded after position %%s until %%s is"
    " lost; position %%s was known before', facts ->> 'resumed_after',"
    " facts ->> 'lost_until', facts ->> 'known_position') AS found,"
    " 'revoke and disable again what was since then, rotate the keys if you cannot tell, and read"
    ' docs/operations.md, "When the log went back"\' AS fix, recorded_at AS since'
    " FROM (SELECT recorded_at, convert_from(state, 'UTF8')::jsonb AS facts"
    # As its partial index has it.
    " FROM grantledger.ledger_events_directory WHERE topic = 'log.went_back'"
    " AND recorded_at > clock_timestamp() - make_interval(days => %(days)s)) AS losses"
    " ORDER BY recorded_at"
)

LOG_WENT_BACK = AlarmSource(
    "log_went_back", Query(_LOG_WENT_BACK, {"days": LOG_WENT_BACK_DAYS}, Alarm)
)


def _leaked_key(*, kid: str, presented: int, first_at: datetime, differs: str) -> Alarm:
    tokens = "a token" if presented == 1 else f"{presented:,} tokens"
    return Alarm(
        name="forged_tokens",
        found=f"the signing key {kid} has leaked: it signed {tokens} that this service did not"
        f" issue so ({differs})",
        fix=f"grantledger keys revoke {kid}; see docs/operations.md",
        since=first_at.astimezone(UTC),
    )


# It stands until the key verifies no more: until then, the holder of the copy can go on.
FORGED_TOKENS = AlarmSource("forged_tokens", Query(LEAKED_KEYS, {}, _leaked_key))

ALARM_SOURCES: Sequence[AlarmSource] = (SET_ASIDE_EVENTS, LOG_WENT_BACK, FORGED_TOKENS)
