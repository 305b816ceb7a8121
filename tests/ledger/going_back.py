"""A log that goes back while connections to it stay open, by what no trigger lets happen."""

import psycopg


def take_back(database_url: str, *, to: int) -> None:
    """Take every event above the position `to` out of the log, as a restore of its rows does."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "DELETE FROM grantledger.ledger_events WHERE notification_id > %s", (to,)
        )
        connection.execute("SELECT setval('grantledger.ledger_position', %s, true)", (to,))


def head_of(database_url: str) -> int:
    """Return the position of the newest event."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT coalesce(max(notification_id), 0) FROM grantledger.ledger_events"
        ).fetchone()
    return int(row[0]) if row else 0


def losses_of(database_url: str) -> list[tuple[int, int]]:
    """Return what was recorded of logs that went back: after which position, on which timeline."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT (state ->> 'resumed_after')::bigint, (state ->> 'timeline')::integer"
            " FROM grantledger.events WHERE topic = 'log.went_back' ORDER BY position"
        ).fetchall()


def topics_of(database_url: str) -> list[str]:
    """Return the topics of all events, oldest first."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT topic FROM grantledger.ledger_events ORDER BY notification_id"
        ).fetchall()
    return [str(topic) for (topic,) in rows]
