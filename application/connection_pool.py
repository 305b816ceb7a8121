"""Pools of connections for what lies beside the log: every wait ends, and they come back at once.

1. A pool that could not connect tries again with the next request and not by a pause that doubles:
   PostgreSQL away for minutes would be away for as many more.
2. A network that falls silent is noticed: by keepalives where an answer is waited for, by the
   user timeout where what was sent is not acknowledged. A lock that is held ends the statement.
"""

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

CONNECT_SECONDS = 3
_RECONNECT_SECONDS = 1.0
SILENCE: dict[str, int] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Parameters of libpq that bound every wait for a network, in seconds; the last in milliseconds."""


def connection_pool(
    database_url: str,
    *,
    name: str,
    connections: int,
    wait_seconds: float,
    statement_seconds: float,
) -> AsyncConnectionPool:
    """Return a closed pool of up to so many connections in autocommit mode, opened by `open`.

    A request waits `wait_seconds` for a connection, and a statement runs for `statement_seconds` at
    most. The connections show as `grantledger <name>` in pg_stat_activity.
    """

    async def bound(connection: AsyncConnection[Any]) -> None:
        await connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", (f"{statement_seconds}s",)
        )

    return AsyncConnectionPool(
        database_url,
        min_size=0,
        max_size=connections,
        open=False,
        timeout=wait_seconds,
        reconnect_timeout=_RECONNECT_SECONDS,
        configure=bound,
        kwargs={"autocommit": True, "application_name": f"grantledger {name}", **SILENCE},
    )
