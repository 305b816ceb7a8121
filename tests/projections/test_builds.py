"""Tables, views and rights of the read models."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege

from application.ledger.mapper import LedgerMapper
from application.ledger.schema import AUDITOR_ROLE
from projections.audit_trail import AUDIT_TRAIL
from projections.builds import (
    NewerProgram,
    ensure_tables,
    other_builds,
    project,
    tracked_position,
)
from projections.client_last_used import CLIENT_LAST_USED, of_client
from projections.log_reader import LogReader
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS, projection_named
from projections.session import open_session
from projections.status import projection_status
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording


@pytest.fixture
def auditor(database_url: str, session: Connection[Any]) -> Iterator[Connection[Any]]:
    """A session of somebody who is a member of the auditors' role and nothing else."""
    name = f"auditor_{os.getpid()}"
    session.execute(f"CREATE ROLE {name} LOGIN IN ROLE {AUDITOR_ROLE}")
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"SET SESSION AUTHORIZATION {name}")
            yield connection
    finally:
        session.execute(f"DROP ROLE {name}")


def test_ensures_tables_from_many_processes_at_once(database_url: str) -> None:
    """Starting together, and starting again, makes each table once and disturbs nobody."""

    def start() -> None:
        with closing(open_session(database_url, name="test")) as connection:
            ensure_tables(connection, PROJECTIONS)

    with ThreadPoolExecutor(8) as pool:
        for started in [pool.submit(start) for _ in range(16)]:
            started.result()
    with closing(open_session(database_url, name="test")) as session:
        found = projection_status().fetch(session)

    assert [(one.build, one.position) for one in found] == [(1, 0)] * len(PROJECTIONS)


def test_ensures_nothing_over_the_live_build(
    recording: Recording, session: Connection[Any]
) -> None:
    """A start after a rebuild leaves build, position and rows as they are."""
    recording.issue(2)
    rebuild(recording.database_url, AUDIT_TRAIL)
    ensure_tables(session, PROJECTIONS)

    assert tracked_position(session, AUDIT_TRAIL).build == 2
    assert session.execute("SELECT count(*) FROM read.audit_trail").fetchone() == (2,)


@pytest.mark.parametrize("rebuilt", [False, True], ids=["first build", "rebuilt"])
def test_lets_auditors_read(recording: Recording, auditor: Connection[Any], rebuilt: bool) -> None:
    """A member of the auditors' role reads every view, after a rebuild too."""
    recording.issue(2)
    catch_up(recording.database_url)
    if rebuilt:
        for projection in PROJECTIONS:
            rebuild(recording.database_url, projection)
    counts = [
        auditor.execute(f"SELECT count(*) FROM read.{projection.name}").fetchone()
        for projection in PROJECTIONS
    ]

    assert counts == [(2,), (4,), (0,), (0,), (0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM read.audit_trail",
        "UPDATE read.audit_trail SET subject = 'x'",
        "INSERT INTO read.client_last_used VALUES ('a', 'client', '', now(), 1)",
        "DELETE FROM read.audit_trail_b1",
        "CREATE TABLE read.mine (n integer)",
        "SELECT * FROM grantledger.ledger_events",
        "SELECT * FROM grantledger.events",
        "SELECT * FROM grantledger.wrapped_keys",
        "SELECT * FROM grantledger.projections",
        "SELECT grantledger.append_events('{}', '{}', '{}', '{}')",
    ],
)
def test_lets_auditors_do_nothing_else(
    recording: Recording, auditor: Connection[Any], statement: str
) -> None:
    """Auditors change nothing in the read models and see nothing of the ledger's own schema."""
    catch_up(recording.database_url)

    with pytest.raises(InsufficientPrivilege):
        auditor.execute(statement.encode())


def test_gives_auditors_no_right_on_any_table_of_the_ledger(
    auditor: Connection[Any], session: Connection[Any]
) -> None:
    """Whatever tables come later: PostgreSQL itself lists none that auditors could use."""
    ensure_tables(session, PROJECTIONS)
    usable = auditor.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'grantledger'::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'm')"
        " AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
    ).fetchall()
    schema = auditor.execute(
        "SELECT has_schema_privilege('grantledger', 'USAGE, CREATE')"
    ).fetchone()

    assert usable == []
    assert schema == (False,)


def test_writes_only_what_the_build_lacks_of_a_batch(
    recording: Recording, session: Connection[Any]
) -> None:
    """A batch that begins below the position counts from there; one that ends below it not."""
    recording.issue(10)
    ensure_tables(session, PROJECTIONS)
    mapper = LedgerMapper()
    few = LogReader(mapper, topics=None, limit=4).read(session, after=0)
    all_ten = LogReader(mapper, topics=None).read(session, after=0)
    ends = [project(session, [CLIENT_LAST_USED], batch) for batch in (few, all_ten, few, all_ten)]

    assert ends == [[4], [10], [10], [10]]
    assert of_client("reporter").fetch(session)[0].uses == 10


def test_knows_projections_by_name() -> None:
    """A name gives the projection; a wrong one is told what there is."""
    assert projection_named("audit_trail") is AUDIT_TRAIL
    with pytest.raises(KeyError, match="there are audit_trail, client_last_used"):
        projection_named("audit")


def test_is_told_to_ensure_tables_first(session: Connection[Any]) -> None:
    """Work on a projection without a tracking row is refused with the way out."""
    with pytest.raises(LookupError, match="ensure_tables comes first"):
        tracked_position(session, AUDIT_TRAIL)


def test_a_newer_version_begins_anew(recording: Recording, session: Connection[Any]) -> None:
    """Where columns changed, the read model is made again from the log, and the old one is gone."""
    recording.issue(3)
    catch_up(recording.database_url)
    newer = replace(AUDIT_TRAIL, version=AUDIT_TRAIL.version + 1)
    ensure_tables(session, [newer])
    begun = session.execute("SELECT count(*) FROM read.audit_trail").fetchone()
    catch_up(recording.database_url, [newer])

    assert begun == (0,)
    assert session.execute("SELECT count(*) FROM read.audit_trail").fetchone() == (3,)
    assert other_builds(session, newer) == []


def test_an_older_version_leaves_a_newer_one(
    recording: Recording, session: Connection[Any]
) -> None:
    """Old and new programs side by side do not take turns in beginning anew."""
    recording.issue(3)
    newer = replace(AUDIT_TRAIL, version=AUDIT_TRAIL.version + 1)
    catch_up(recording.database_url, [newer])
    ensure_tables(session, [AUDIT_TRAIL])

    assert session.execute("SELECT count(*) FROM read.audit_trail").fetchone() == (3,)


def test_an_older_leader_does_not_fill_a_newer_build(
    recording: Recording, session: Connection[Any]
) -> None:
    """In a rolling restart the old process leads on for a while, beside the new one's tables: what
    it wrote there would lack the new columns for good.
    """
    recording.issue(3)
    catch_up(recording.database_url)
    newer = replace(AUDIT_TRAIL, version=AUDIT_TRAIL.version + 1)
    ensure_tables(session, [newer])
    batch = LogReader(LedgerMapper(), topics=None).read(session, after=0)
    with pytest.raises(NewerProgram, match="audit_trail is of version"):
        project(session, [AUDIT_TRAIL], batch)

    assert session.execute("SELECT count(*) FROM read.audit_trail").fetchone() == (0,)
    assert project(session, [newer], batch) == [3]


def test_sessions_may_be_idle(database_url: str) -> None:
    """Whatever the server ends others for: a backup waits for pg_dump inside its transaction, and
    leaders hold their locks while nothing happens.
    """
    options = "-c%20idle_in_transaction_session_timeout%3D1s%20-c%20idle_session_timeout%3D1s"
    with closing(open_session(f"{database_url}&options={options}", name="test")) as connection:
        names = ("idle_in_transaction_session_timeout", "idle_session_timeout")
        found = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]

    assert found == [("0",), ("0",)]
