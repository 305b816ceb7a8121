"""Forged tokens by the key that signed them and by what differs from their records.

A row for each such pair, however many events tell of it: whether a key is suspect is answered from
few rows, on a log of any size.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed

from projections.projection import LoggedEvent, Projection

COLUMNS = """(
    kid text NOT NULL,
    differs text NOT NULL,
    presented bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (kid, differs)
)"""

_UPSERT = SQL(
    "INSERT INTO {} AS known (kid, differs, presented, first_at, last_at)"
    " SELECT kid, differs, presented, first_at, last_at"
    " FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::timestamptz[], %b::timestamptz[])"
    " AS added (kid, differs, presented, first_at, last_at)"
    " ON CONFLICT (kid, differs) DO UPDATE SET presented = known.presented + excluded.presented,"
    " first_at = least(known.first_at, excluded.first_at),"
    " last_at = greatest(known.last_at, excluded.last_at)"
)


def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
    """Add what `events` (forged_token.presented only) tell about: one upsert a batch."""
    if not events:
        return
    # In one order everywhere: two processes that fill a build must not wait for each other.
    totals = dict(sorted(_by_key(events).items()))
    cursor.execute(
        _UPSERT.format(table),
        (
            [kid for kid, _ in totals],
            [differs for _, differs in totals],
            [presented for presented, _, _ in totals.values()],
            [first for _, first, _ in totals.values()],
            [last for _, _, last in totals.values()],
        ),
    )


def _by_key(
    events: Iterable[LoggedEvent],
) -> dict[tuple[str, str], tuple[int, datetime, datetime]]:
    found: dict[tuple[str, str], tuple[int, datetime, datetime]] = {}
    for event in events:
        facts = event.facts
        key = (facts["kid"], ", ".join(facts["differs"]))
        first, last = (datetime.fromisoformat(facts[name]) for name in ("first_at", "last_at"))
        presented, begun, ended = found.get(key, (0, first, last))
        found[key] = (presented + facts["count"], min(begun, first), max(ended, last))
    return found


FORGED_TOKENS = Projection(
    name="forged_tokens",
    columns=COLUMNS,
    key=("kid", "differs"),
    topics=frozenset({"forged_token.presented"}),
    write=write,
    in_any_order=True,
)

LEAKED_KEYS = SQL(
    "SELECT kid, CAST(sum(presented) AS bigint) AS presented, min(first_at) AS first_at,"
    " string_agg(differs, '; ' ORDER BY differs) AS differs"
    " FROM read.forged_tokens AS forged"
    # A key that verifies no more is harmless here. The events of keys are few, and have an index.
    " WHERE NOT EXISTS (SELECT FROM read.audit_trail AS ended"
    " WHERE ended.topic IN ('key.retired', 'key.revoked') AND ended.topic <> 'token.issued'"
    " AND ended.kid = forged.kid"
    " AND coalesce(CAST(ended.detail->>'verify_until' AS timestamptz), ended.occurred_at)"
    " <= clock_timestamp())"
    " GROUP BY kid ORDER BY min(first_at), kid"
)
"""Selects each key that signed a forged token and still verifies: it is retired and past its
`verify_until`, or revoked, before it is left out.
"""
