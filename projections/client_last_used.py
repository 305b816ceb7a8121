"""When each client, each of its credentials and each of its scopes was last used for a token.

Exact, because it counts TokenIssued and nothing else: one use of the client and of the credential
a token, and one of every scope granted.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed

from projections.projection import LoggedEvent, Projection, indexed
from projections.query import Query

COLUMNS = """(
    client_id text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    last_used_at timestamptz NOT NULL,
    uses bigint NOT NULL,
    PRIMARY KEY (client_id, kind, name)
) WITH (fillfactor = 50)"""
# Half of each page stays free, so that rows updated ten times a second stay on it (HOT updates).


K = TypeVar("K", bound=Hashable)


class Kind(StrEnum):
    """What was used: the client itself (its name is empty), a credential of it or a scope."""

    CLIENT = "client"
    CREDENTIAL = "credential"
    SCOPE = "scope"


_Key = tuple[str, str, str]
_Request = tuple[str, str, tuple[str, ...]]
_Moment = tuple[datetime, str]
"""A moment, and how the event wrote it. Compared as moments: as text, 09Z comes after 09.5Z."""

_UPSERT = SQL(
    "INSERT INTO {} AS known (client_id, kind, name, last_used_at, uses)"
    " SELECT client_id, kind, name, last_used_at::timestamptz, uses"
    " FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[])"
    " AS added (client_id, kind, name, last_used_at, uses)"
    " ON CONFLICT (client_id, kind, name) DO UPDATE SET uses = known.uses + excluded.uses,"
    " last_used_at = greatest(known.last_used_at, excluded.last_used_at)"
)


def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
    """Add the uses that `events` (token.issued only) tell about: one upsert a batch."""
    # In one order everywhere: two processes that fill a build must not wait for each other.
    totals = dict(sorted(_by_key(_by_request(events)).items()))
    for client_id, kind, name in totals:
        indexed(f"{client_id}{kind}{name}")
    cursor.execute(
        _UPSERT.format(table),
        (
            [client_id for client_id, _, _ in totals],
            [kind for _, kind, _ in totals],
            [name for _, _, name in totals],
            [written for (_, written), _ in totals.values()],
            [uses for _, uses in totals.values()],
        ),
        prepare=True,
    )


def _by_request(events: Iterable[LoggedEvent]) -> dict[_Request, tuple[_Moment, int]]:
    # Requests repeat: what they have in common is counted first and taken apart once.
    found: dict[_Request, tuple[_Moment, int]] = {}
    for event in events:
        facts = event.facts
        written = facts["occurred_at"]
        key = (facts["client_id"], facts["credential_id"], tuple(facts["scope"]))
        _add(found, key, (datetime.fromisoformat(written).astimezone(UTC), written), 1)
    return found


def _by_key(requests: Mapping[_Request, tuple[_Moment, int]]) -> dict[_Key, tuple[_Moment, int]]:
    totals: dict[_Key, tuple[_Moment, int]] = {}
    for (client_id, credential_id, scopes), (last, uses) in requests.items():
        _add(totals, (client_id, Kind.CLIENT.value, ""), last, uses)
        if credential_id:  # a public client has none
            _add(totals, (client_id, Kind.CREDENTIAL.value, credential_id), last, uses)
        for scope in scopes:
            _add(totals, (client_id, Kind.SCOPE.value, scope), last, uses)
    return totals


def _add(totals: dict[K, tuple[_Moment, int]], key: K, last: _Moment, uses: int) -> None:
    known = totals.get(key)
    totals[key] = (last, uses) if known is None else (max(known[0], last), known[1] + uses)


CLIENT_LAST_USED = Projection(
    name="client_last_used",
    columns=COLUMNS,
    key=("client_id", "kind", "name"),
    topics=frozenset({"token.issued"}),
    write=write,
    in_any_order=True,
)


@dataclass(frozen=True, slots=True)
class LastUsed:
    """How often something of a client was used, and when at last (UTC)."""

    client_id: str
    kind: Kind
    name: str
    last_used_at: datetime
    uses: int


def of_client(client_id: str) -> Query[LastUsed]:
    """Ask what was used of one client: itself first, then credentials, then scopes."""
    return Query(
        SQL(
            "SELECT * FROM read.client_last_used WHERE client_id = %(client_id)s"
            " ORDER BY array_position(ARRAY['client', 'credential', 'scope'], kind), name"
        ),
        {"client_id": client_id},
        _last_used,
    )


def of_clients(*, after: str = "", limit: int = 100) -> Query[LastUsed]:
    """Ask for the last use of each client; pages go on `after` the last client_id seen."""
    return Query(
        SQL(
            "SELECT * FROM read.client_last_used WHERE client_id > %(after)s AND kind = 'client'"
            " ORDER BY client_id LIMIT %(limit)s"
        ),
        {"after": after, "limit": limit},
        _last_used,
    )


def used_among(client_ids: Sequence[str]) -> Query[str]:
    """Ask which of these clients were ever used."""
    return Query(
        SQL(
            "SELECT client_id FROM read.client_last_used"
            " WHERE client_id = ANY(%(client_ids)s) AND kind = 'client'"
        ),
        {"client_ids": list(client_ids)},
        _client_id,
    )


def _client_id(*, client_id: str) -> str:
    return client_id


def _last_used(
    *, client_id: str, kind: str, name: str, last_used_at: datetime, uses: int
) -> LastUsed:
    return LastUsed(client_id, Kind(kind), name, last_used_at.astimezone(UTC), uses)
