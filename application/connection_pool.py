"""Pools of connections for what lies beside the log: every wait ends, and they come back at once.

1. A pool that could not connect tries again with the next request and not by a pause that doubles:
   PostgreSQL away for minutes would be away for as many more.
2. With an epoch (application.ledger.log_epoch) they lead to the server of the log that the process
   follows: a name that is used once on another server would be used twice.
3. A network that falls silent is noticed: by keepalives where an answer is waited for, by the
   user timeout where what was sent is not acknowledged. A lock that is held ends the statement.
"""

from typing import Any
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from application.ledger.log_epoch import LogEpoch

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
    epoch: LogEpoch | None = None,
) -> AsyncConnectionPool:
    """Return a closed pool of up to so many connections in autocommit mode, opened by `open`.

    A request waits `wait_seconds` for a connection, and a statement runs for `statement_seconds` at
    most. The connections show as `grantledger <name>` in pg_stat_activity.
    """

    async def bound(connection: AsyncConnection[Any]) -> None:
        await connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", (f"{statement_seconds}s",)
        )
        if epoch is not None:
            made_in[connection] = epoch.number
            await epoch.check(connection, leads=False)

    async def current(connection: AsyncConnection[Any]) -> None:
        if epoch is not None and made_in.get(connection) != epoch.number:
            await connection.close()  # else the pool would lend it again
            raise OperationalError("the log was doubted since this connection was made")

    made_in: WeakKeyDictionary[AsyncConnection[Any], int] = WeakKeyDictionary()
    return AsyncConnectionPool(
        database_url,
        min_size=0,
        max_size=connections,
        open=False,
        timeout=wait_seconds,
        reconnect_timeout=_RECONNECT_SECONDS,
        configure=bound,
        check=current,
        kwargs={"autocommit": True, "application_name": f"grantledger {name}", **SILENCE},
    )
