"""What must hold whatever happened, asked of the database itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from projections.registry import PROJECTIONS
from projections.status import projection_status
from projections.verify import verify
from tests.benchmarks.families import forks
from tests.faults.books import Held
from tests.waiting import eventually

CAUGHT_UP_SECONDS = 30
_ISSUED = (
    "SELECT originator_id, state->>'client_id', state->>'subject', state->'scope',"
    " (state->>'expires_at')::timestamptz FROM grantledger.events"
    " WHERE topic = 'token.issued' AND originator_id = ANY(%s)"
)
# A unit of a family is one of its events and the token that it names, decided by one request.
_HALF_UNITS = """
WITH steps AS (
    SELECT position, (state->>'jti')::uuid AS jti, state->>'request_id' AS request
    FROM grantledger.events WHERE topic IN
        ('family.started', 'family.rotated', 'family.rotation_retried', 'family.used')
), tokens AS (
    SELECT position, originator_id AS jti, state->>'request_id' AS request
    FROM grantledger.events WHERE topic = 'token.issued' AND state->>'family_id' IS NOT NULL
)
SELECT count(*) FROM steps FULL JOIN tokens USING (jti)
WHERE steps.position IS NULL OR tokens.position IS NULL OR steps.request <> tokens.request
   OR abs(steps.position - tokens.position) > 3
"""
_POSITIONS = "SELECT notification_id FROM grantledger.ledger_events ORDER BY notification_id"


def problems(database_url: str, held: Iterable[Held], followed: Sequence[int]) -> list[str]:
    """Return what is not as it must be, a line each; none where everything holds.

    `held` are the tokens that clients hold, `followed` the positions that a follower saw.
    """
    eventually(lambda: _projected(database_url), seconds=CAUGHT_UP_SECONDS)
    found = _unrecorded(database_url, list(held))
    with psycopg.connect(database_url) as connection:
        halves = _number(connection, _HALF_UNITS)
        positions = [position for (position,) in connection.execute(_POSITIONS)]
    if halves:
        found.append(f"{halves} events without their unit's fellows")
    if positions != list(range(1, len(positions) + 1)):
        found.append(f"{positions[-1] - len(positions)} positions are missing in the log")
    if list(followed) != positions:
        found.append(f"a follower saw {len(followed)} of {len(positions)} positions in order")
    twice = forks(database_url)
    if twice:
        found.append(f"{twice} generations were made twice")
    for projection in PROJECTIONS:
        if not verify(database_url, projection).clean:
            found.append(f"{projection.name} is not what a replay makes of the log")
    return [*found, *_set_aside(database_url)]


def _set_aside(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        status = projection_status().fetch(connection)
    return [f"{one.projection} set {one.set_aside} events aside" for one in status if one.set_aside]


def _projected(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        return all(status.lag_events == 0 for status in projection_status().fetch(connection))


def _unrecorded(database_url: str, held: Sequence[Held]) -> list[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_ISSUED, ([UUID(one.jti) for one in held],)).fetchall()
    recorded = {str(jti): _said(*facts) for jti, *facts in rows}
    missing = [one.jti for one in held if one.jti not in recorded]
    different = [
        one.jti for one in held if recorded.get(one.jti, _told(one.claims)) != _told(one.claims)
    ]
    return [
        *([f"{len(missing)} tokens are not in the log, as {missing[0]}"] if missing else []),
        *([f"{len(different)} tokens say something else, as {different[0]}"] if different else []),
    ]


def _told(claims: dict[str, Any]) -> tuple[str, str, list[str], int]:
    return claims["client_id"], claims["sub"], claims["scope"].split(), claims["exp"]


def _said(client: str, subject: str, scope: list[str], ends: datetime) -> tuple[Any, ...]:
    return client, subject, scope, int(ends.timestamp())


def _number(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
