"""PostgreSQL itself: version, clock, durability, room for connections, age of transactions."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from api.doctor.finding import Finding, fine, problem, warning

OLDEST_VERSION = 15
CLOCK_SECONDS = 1.0
CLOCK_BROKEN_SECONDS = 5.0
CROWDED = 0.8
OLD_TRANSACTIONS = 1_000_000_000
"""Half of the way to where PostgreSQL stops writing to protect itself (its manual, 24.1.5)."""


def examine_database(connection: Connection[Any]) -> Iterator[Finding]:
    """Yield what there is to say about the server and this database. Raises psycopg.Error."""
    yield _version(connection)
    yield _clock(connection)
    yield from _durability(connection)
    yield _role_of_server(connection)
    yield _room(connection)
    yield _transactions(connection)


def _version(connection: Connection[Any]) -> Finding:
    major = connection.info.server_version // 10_000
    shown = f"PostgreSQL {connection.info.parameter_status('server_version')}"
    if major < OLDEST_VERSION:
        return problem(
            "database version", shown, f"upgrade to PostgreSQL {OLDEST_VERSION} or newer"
        )
    return fine("database version", shown)


def _clock(connection: Connection[Any]) -> Finding:
    before = datetime.now(UTC)
    there = _value(connection, "SELECT clock_timestamp()")
    after = datetime.now(UTC)
    # Its answer is of some moment in between.
    apart = max(0.0, (before - there).total_seconds(), (there - after).total_seconds())
    found = f"{apart:.1f} s apart from the database's"
    fix = "let both machines keep time by the same source (chrony, systemd-timesyncd)"
    if apart > CLOCK_BROKEN_SECONDS:
        return problem("clock", found, fix)
    if apart > CLOCK_SECONDS:
        return warning("clock", found, fix)
    return fine("clock", found)


def _durability(connection: Connection[Any]) -> Iterator[Finding]:
    for name, loses in (
        ("fsync", "recorded tokens, or the whole database, when the machine fails"),
        ("full_page_writes", "the whole database when the machine fails in the middle of a write"),
    ):
        if _value(connection, f"SHOW {name}") == "on":
            yield fine(name, "on")
        else:
            yield problem(name, f"off: loses {loses}", f"set {name} = on and reload PostgreSQL")
    committed = _value(  # of the server: this session may have another
        connection, "SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
    )
    if committed in ("off", "local"):
        yield warning(
            "synchronous_commit",
            f"{committed}; the service turns it on for what it records",
            "set synchronous_commit = on, so that everything else is durable too",
        )
    else:
        yield fine("synchronous_commit", str(committed))


def _role_of_server(connection: Connection[Any]) -> Finding:
    if _value(connection, "SELECT pg_is_in_recovery()"):
        return problem(
            "database role",
            "a standby: nothing can be recorded there",
            "point DATABASE_URL at the primary",
        )
    return fine("database role", "primary")


def _room(connection: Connection[Any]) -> Finding:
    most = int(_value(connection, "SHOW max_connections"))
    used = int(
        _value(
            connection,
            # Of the sessions of other roles only a superuser is told what kind they are.
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' OR backend_type IS NULL",
        )
    )
    found = f"{used} of {most} in use"
    if used > CROWDED * most:
        return warning(
            "connections", found, "raise max_connections, or find who holds so many open"
        )
    return fine("connections", found)


def _transactions(connection: Connection[Any]) -> Finding:
    age = int(
        _value(
            connection,
            # Of the whole server: it stops writing for the sake of any of its databases.
            "SELECT max(age(datfrozenxid)) FROM pg_database",
        )
    )
    if age > OLD_TRANSACTIONS:
        return warning(
            "transaction ids",
            f"the oldest is {age:,} behind",
            "let autovacuum run; look for transactions that stay open (pg_stat_activity)",
        )
    return fine("transaction ids", f"the oldest is {age:,} behind")


def _value(connection: Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
