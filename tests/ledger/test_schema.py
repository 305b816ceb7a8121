"""Migrations: once each, all or nothing, from any number of processes; and an append-only log."""

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from uuid import UUID

import psycopg
import pytest

from application.ledger import schema
from application.ledger.recorder import APPEND, append_parameters
from application.ledger.schema import AUDITOR_ROLE, MIGRATIONS, migrate, schema_version
from domain.ids import directory_id
from tests.builders import records, stream_id
from tests.ledger.log_table import keys, keys_of
from tests.waiting import eventually

NAMES = [name for name, _ in MIGRATIONS]
ROOT = Path(__file__).parents[2]
_MIGRATE = """
import sys, datetime, psycopg
from application.ledger.schema import migrate
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    print("\\n".join(migrate(connection, now=datetime.datetime.now(datetime.UTC))))
"""

Connection = psycopg.Connection[tuple[object, ...]]


def now() -> datetime:
    """Return the present moment: partitions are made around it."""
    return datetime.now(UTC)


def test_a_second_time_changes_nothing(empty_database_url: str) -> None:
    """Migrating again applies nothing and leaves every event where it was."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        unit = records(2)
        first = migrate(connection, now=now())
        connection.execute(APPEND, append_parameters(unit))
        second = migrate(connection, now=now())
        version = schema_version(connection)

    assert first == NAMES
    assert second == []
    assert version == len(MIGRATIONS)
    assert keys(empty_database_url) == keys_of(unit)


def test_four_processes_at_once(empty_database_url: str) -> None:
    """Of four processes that migrate one empty database at once each succeeds, and every migration
    is applied by exactly one of them.
    """
    command = [sys.executable, "-c", _MIGRATE, empty_database_url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sorted("".join(outputs).split("\n")) == sorted([*NAMES, *[""] * 4])


def tables(connection: Connection) -> set[object]:
    """Return the names of all tables of ours."""
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'grantledger'"
    )
    return {row[0] for row in found}


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        pytest.param("SELECT 1 / 0", psycopg.errors.DivisionByZero, id="in its statements"),
        pytest.param(
            "INSERT INTO grantledger.schema_migrations (number, name) SELECT max(number) + 1, 'x'"
            " FROM grantledger.schema_migrations",
            psycopg.errors.UniqueViolation,
            id="where it is noted as done",
        ),
    ],
)
def test_a_failed_migration_leaves_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, failing: str, error: type[Exception]
) -> None:
    """A migration that fails late leaves no trace of what it did before, and the database works on
    at the schema that it had.
    """
    broken = ("broken", f"CREATE TABLE grantledger.half (x int); {failing};")
    with psycopg.connect(database_url, autocommit=True) as connection:
        before = tables(connection)
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, broken))
            with pytest.raises(error):
                migrate(connection, now=now())
        after = tables(connection)
        repeated = migrate(connection, now=now())

    assert after == before
    assert repeated == []


def test_an_interrupted_migration_leaves_nothing(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration whose session is ended midway leaves nothing of itself and no lock: the next
    attempt does the whole of it.
    """
    slow = ("slow", "CREATE TABLE grantledger.half (x int); SELECT pg_sleep(60);")
    quick = ("slow", "CREATE TABLE grantledger.half (x int);")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, slow))
            victim = Thread(target=_migrate_until_ended, args=(empty_database_url,))
            victim.start()
            eventually(lambda: _end_the_sleeper(connection))
            victim.join()
        half = "half" in tables(connection)
        reached = schema_version(connection)
        monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, quick))
        repeated = migrate(connection, now=now())

    assert not half
    assert reached == len(MIGRATIONS)
    assert repeated == ["slow"]


def _migrate_until_ended(database_url: str) -> None:
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        migrate(connection, now=now())


def _end_the_sleeper(connection: Connection) -> bool:
    found = connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep'"
    ).fetchone()
    return found == (True,)


def test_a_newer_database_is_left_alone(database_url: str) -> None:
    """An older version refuses a database that a newer one migrated."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO grantledger.schema_migrations (number, name) VALUES (%s, 'newer')",
            (len(MIGRATIONS) + 1,),
        )
        with pytest.raises(RuntimeError, match="run the newer version"):
            migrate(connection, now=now())


@pytest.mark.parametrize(
    "stream", [directory_id("client", "a"), stream_id()], ids=["directory", "month"]
)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET state = ''",
        "UPDATE {} SET originator_version = 7",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ],
)
@pytest.mark.parametrize("through", ["the table", "its partition"])
def test_the_log_is_append_only(
    database_url: str, stream: UUID, statement: str, through: str
) -> None:
    """Nothing recorded can be changed, deleted or truncated, by the table or by its partition."""
    unit = records(2, stream=stream)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(APPEND, append_parameters(unit))
        partition = connection.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM grantledger.ledger_events"
        ).fetchone()
        assert partition is not None
        target = "grantledger.ledger_events" if through == "the table" else partition[0]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement.format(target))

    assert keys(database_url) == keys_of(unit)


def test_the_auditor_reads_read_models_only(database_url: str) -> None:
    """The auditor's role may read what lies in schema `read`, and neither the log nor the keys."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE read.sample AS SELECT 1 AS one")
        connection.execute(f"SET ROLE {AUDITOR_ROLE}")
        sample = connection.execute("SELECT one FROM read.sample").fetchone()
        for table in ("ledger_events", "wrapped_keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT FROM grantledger.{table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO read.sample VALUES (2)")

    assert sample == (1,)


def test_events_read_as_json(database_url: str) -> None:
    """The view `events` shows the state of an event as jsonb."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(APPEND, append_parameters(records(state=b'{"scope": ["mcp"]}')))
        found = connection.execute(
            "SELECT position, topic, state -> 'scope' FROM grantledger.events"
        ).fetchall()

    assert found == [(1, "test.happened", ["mcp"])]


@pytest.mark.parametrize(
    "state", [b"not json", b"\xff", rb'{"a": "\u0000"}', rb'{"a": "\ud800"}', b"[" * 9_000]
)
def test_an_unreadable_event_fails_no_query(database_url: str, state: bytes) -> None:
    """The view shows every other event, and no state for one that PostgreSQL cannot read."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for one in (b'{"a": 1}', state, b'{"a": 3}'):
            connection.execute(APPEND, append_parameters(records(state=one)))
        found = connection.execute(
            "SELECT position, state FROM grantledger.events ORDER BY position"
        ).fetchall()

    assert found == [(1, {"a": 1}), (2, None), (3, {"a": 3})]
