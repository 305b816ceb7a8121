"""Every event counts exactly once, whatever dies when; somebody always leads."""

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from domain.access_token import AccessToken
from projections.audit_trail import AUDIT_TRAIL, search
from projections.builds import ensure_tables
from projections.client_last_used import CLIENT_LAST_USED, of_client
from projections.projection import LoggedEvent
from projections.registry import PROJECTIONS
from projections.runner import Projector
from projections.session import open_session
from tests.builders import a_client, records
from tests.conftest import PrivateDatabase
from tests.projections.projecting import (
    catch_up,
    eventually_caught_up,
    projecting,
    status,
)
from tests.projections.recording import Recording
from tests.waiting import eventually

NAMES = frozenset(projection.name for projection in PROJECTIONS)


def test_projects_what_comes_while_it_runs(recording: Recording) -> None:
    """New events reach every read model without anybody asking for it."""
    with projecting(Projector(recording.database_url)):
        eventually_caught_up(recording.database_url)
        recording.issue(3)
        eventually_caught_up(recording.database_url)

    assert counts(recording.database_url) == (3, 3)


def test_counts_once_when_killed_between_write_and_commit(recording: Recording) -> None:
    """SIGKILL with a batch written and not committed: the standby takes over, nothing doubles."""
    recording.issue(40)
    with _hanging_projector(recording.database_url) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == "written\n"
        with projecting(Projector(recording.database_url)) as standby:
            # It asks for the audit trail first: it was refused that.
            eventually(lambda: standby.leading == NAMES - {AUDIT_TRAIL.name})
            before = status(recording.database_url, [AUDIT_TRAIL])[0].position
            leader.kill()
            eventually_caught_up(recording.database_url)

            assert standby.leading == NAMES
    assert before == 0
    assert counts(recording.database_url) == (40, 40)


def test_hands_over_when_the_leader_stops(recording: Recording) -> None:
    """One leads at a time; a clean stop frees the projections for the other."""
    with projecting(Projector(recording.database_url)) as second:
        eventually(lambda: second.leading == NAMES)
        with projecting(Projector(recording.database_url)) as first:
            eventually(lambda: _refused_leadership(recording.database_url))
            assert not first.leading
            with closing(open_session(recording.database_url, name="test")) as session:
                _end_leader(session)
            recording.issue(5)
            eventually_caught_up(recording.database_url)
            eventually(
                lambda: (
                    first.leading | second.leading == NAMES and not first.leading & second.leading
                )
            )
        eventually(lambda: second.leading == NAMES)

    assert counts(recording.database_url) == (5, 5)


def test_writes_rows_and_position_or_neither(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch that fails after its rows were written is tried again as a whole, others go on."""
    failures = iter([RuntimeError("disk on fire"), RuntimeError("still")])

    def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
        CLIENT_LAST_USED.write(cursor, table, events)
        for failure in failures:
            raise failure

    recording.issue(10)
    faulty = replace(CLIENT_LAST_USED, write=write)
    with projecting(Projector(recording.database_url, [AUDIT_TRAIL, faulty])):
        eventually_caught_up(recording.database_url, [AUDIT_TRAIL])
        behind = status(recording.database_url, [faulty])[0].position
        eventually_caught_up(recording.database_url, [faulty])

    assert behind == 0
    assert counts(recording.database_url) == (10, 10)
    assert "client_last_used cannot go on from 0" in caplog.text
    assert "audit_trail cannot" not in caplog.text  # both share a transaction until one fails


def test_goes_on_where_another_process_left_off(recording: Recording) -> None:
    """The row in the database decides, not what this process believes to have written."""
    recording.issue(5)
    with projecting(Projector(recording.database_url)):
        eventually_caught_up(recording.database_url)
        with closing(open_session(recording.database_url, name="test")) as session:
            # As a switch to a build that is behind, and one that is ahead, would leave it.
            session.execute(
                "BEGIN; DELETE FROM read.audit_trail_b1 WHERE position > 2;"
                "UPDATE grantledger.projections SET position = 2 WHERE name = 'audit_trail'; COMMIT"
            )
        recording.issue(5)
        eventually_caught_up(recording.database_url)

    assert counts(recording.database_url) == (10, 10)


def test_comes_back_with_postgresql(private_database: PrivateDatabase) -> None:
    """PostgreSQL killed and started again: the projections go on by themselves within 2 s."""
    url = private_database.url
    with projecting(Projector(url)) as projector:
        with Recording(url) as recording:
            recording.issue(7)
            eventually_caught_up(url)
        private_database.server.kill()
        eventually(lambda: not projector.leading)
        private_database.server.start()
        with Recording(url) as recording:
            recording.issue(7)
        eventually_caught_up(url, seconds=2)

    assert counts(url) == (14, 14)


def test_waits_for_the_schema(empty_database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Started before the migrations ran, it asks again and again, and stops when told to."""
    with projecting(Projector(empty_database_url)) as projector:
        # Its sessions end within milliseconds: what it says about them stays.
        eventually(lambda: caplog.text.count("wait for PostgreSQL: UndefinedTable") > 1)

        assert not projector.leading


def test_upcasts_old_events(
    recording: Recording, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of an older version of its class reads as the present version would."""
    recording.issue(2)

    def upcast(facts: dict[str, Any]) -> None:
        facts["client_id"] = f"tenant-1.{facts['client_id']}"

    version = AccessToken.Issued.class_version
    monkeypatch.setattr(AccessToken.Issued, "class_version", version + 1)
    monkeypatch.setattr(
        AccessToken.Issued, f"upcast_v{version}_v{version + 1}", upcast, raising=False
    )
    recording.issue(1, client=a_client(client_id="tenant-1.reporter"))
    catch_up(recording.database_url)

    assert [entry.client_id for entry in search().fetch(session)] == ["tenant-1.reporter"] * 3
    assert of_client("tenant-1.reporter").fetch(session)[0].uses == 3


def test_goes_past_an_event_it_cannot_read_loudly(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable event is set aside with an error in the log, and what follows it is shown."""
    recording.issue(1)
    with projecting(Projector(recording.database_url)):
        eventually_caught_up(recording.database_url)
        recording._recorder.insert_events(records(state=b"not json"))
        recording.issue(1)
        eventually_caught_up(recording.database_url)

    assert counts(recording.database_url) == (2, 2)
    assert [one.set_aside for one in status(recording.database_url)] == [
        1,
        *[0] * (len(PROJECTIONS) - 1),
    ]
    (aside,) = (one for one in caplog.records if "sets the event at position 2" in one.message)
    assert aside.levelno == logging.ERROR


def test_serves_those_ahead_while_one_catches_up(recording: Recording) -> None:
    """A projection far behind does not hold up one at the head, and both meet there."""
    recording.issue(30)
    catch_up(recording.database_url, [AUDIT_TRAIL])
    recording.issue(1)
    with closing(open_session(recording.database_url, name="test")) as session:
        projector = Projector(recording.database_url, batch_events=4)
        ensure_tables(session, PROJECTIONS)
        projector._ask_leadership(session)
        projector._advance_all(session)

    assert [one.position for one in status(recording.database_url)] == [
        31,
        *[4] * (len(PROJECTIONS) - 1),
    ]
    catch_up(recording.database_url)
    assert counts(recording.database_url) == (31, 31)


def counts(database_url: str) -> tuple[int, int]:
    """Return how many TokenIssued the audit trail shows, and how many the client's last use."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM read.audit_trail WHERE topic = 'token.issued'),"
            " (SELECT coalesce(sum(uses), 0) FROM read.client_last_used WHERE kind = 'client')"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


@contextmanager
def _hanging_projector(database_url: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "tests.projections.hanging_projector", database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _refused_leadership(database_url: str) -> bool:
    # A projector that leads everything asks no more; one whose last statement is the question
    # for the lock, and which is idle since, was refused.
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'grantledger projector' AND state = 'idle'"
            " AND query LIKE '%pg_try_advisory_lock%'"
        ).fetchone()
    return row is not None and row[0] > 0


def _end_leader(session: Connection[Any]) -> None:
    session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks"
        " WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
