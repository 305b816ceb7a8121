"""What a database holds, counted in the transaction of `connection`."""

from typing import Any

from psycopg import Connection

from api.backup.manifest import Contents
from application.ledger.schema import schema_version
from projections.retention.months import months_left

_COUNTS = (
    "SELECT coalesce(max(notification_id), 0), count(*), count(DISTINCT originator_id),"
    " (SELECT count(*) FROM grantledger.wrapped_keys),"
    " (SELECT count(*) FROM grantledger.logins),"
    " (SELECT count(*) FROM grantledger.passwords),"
    " (SELECT count(*) FROM grantledger.passkeys) FROM grantledger.ledger_events"
)
_MASTER_KEYS = "SELECT DISTINCT master_key_id FROM grantledger.wrapped_keys ORDER BY 1"
_PEPPERS = (
    "SELECT pepper_id FROM grantledger.passwords UNION"
    " SELECT convert_from(state, 'UTF8')::jsonb ->> 'pepper_id'"
    " FROM grantledger.ledger_events_directory WHERE convert_from(state, 'UTF8')::jsonb"
    " ? 'pepper_id' ORDER BY 1"
)


def contents_of(connection: Connection[Any]) -> Contents:
    """Return what the database holds. Raises psycopg.Error."""
    counts = connection.execute(_COUNTS).fetchall()[0]
    names = ("position", "events", "streams", "wrapped_keys", "logins", "passwords", "passkeys")
    return Contents(
        schema=schema_version(connection),
        **dict(zip(names, counts, strict=True)),
        detached=tuple(left.month.partition for left in months_left(connection)),
        master_key_ids=_ids(connection, _MASTER_KEYS),
        pepper_ids=_ids(connection, _PEPPERS),
    )


def _ids(connection: Connection[Any], statement: str) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.execute(statement.encode()).fetchall() if row[0])
