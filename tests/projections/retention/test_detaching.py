"""A month leaves the log, and comes back: what is recorded, checked, kept and refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow.parquet as pq
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg import Connection

from application.ledger.recorder import APPEND, append_parameters
from projections.audit_trail import AUDIT_TRAIL
from projections.export.manifest import UnusableManifest
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from projections.retention.archive import ArchiveNotWhole
from projections.retention.detaching import MonthGrew
from projections.retention.months import MonthsDetached, attached_months, months_left
from projections.retention.restoring import NothingToRestore, restore
from projections.session import MaintenanceRunning, maintenance
from projections.verify import verify
from tests.builders import a_client
from tests.ledger.log_table import Row, positions, rows
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording
from tests.projections.retention.past import (
    MONTH,
    THEN,
    Acts,
    family,
    living_family,
    token,
)
from tests.projections.retention.past import (
    session as a_session,
)

OLD = 4


@pytest.fixture
def acts(recording: Recording) -> Acts:
    """A log with OLD events of an old month between two of the directory."""
    recording.record(a_client(client_id="first"))
    recording.record(token(), family(), a_session(), token())
    recording.record(a_client(client_id="last"))
    catch_up(recording.database_url)
    return Acts(recording)


def _attached(connection: Connection[Any]) -> bool:
    return MONTH in {one.partition for one in attached_months(connection)}


def _audit_rows(connection: Connection[Any]) -> Any:
    return connection.execute("SELECT count(*) FROM read.audit_trail").fetchall()[0][0]


def _directory(tmp_path: Path) -> Path:
    return tmp_path / f"{THEN:%Y_%m}"


def test_a_month_leaves(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """Its events are in the archive and no longer in the log; the table stays, append-only."""
    before = rows(recording.database_url)
    (done,) = acts.detach(session, tmp_path)
    after = positions(recording.database_url)

    assert (done.partition, done.rows, done.dropped) == (MONTH, OLD, False)
    assert (done.first_position, done.last_position) == (2, 5)
    assert after == [1, 6, 7, 8]
    assert acts.announced[0].first == 2
    assert [one.manifest_sha256 for one in months_left(session)] == [done.manifest_sha256]
    for statement in ("DELETE FROM grantledger.{}", "UPDATE grantledger.{} SET topic = ''"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(statement.format(MONTH))
    (path,) = _directory(tmp_path).glob("ledger/*.parquet")
    stored = pq.ParquetFile(path).read().to_pylist()
    assert [
        Row(r["notification_id"], UUID(r["originator_id"]), r["originator_version"], r["state"])
        for r in stored
    ] == before[1:5]
    assert not any(b"verifier" in row["state"] for row in stored)


def test_recorded_before_it_leaves(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """When the event is committed the partition is still there, its archive is whole."""
    seen: list[bool] = []

    def look() -> None:
        with psycopg.connect(recording.database_url) as other:
            seen.append(_attached(other))
            topics = other.execute("SELECT topic FROM grantledger.events ORDER BY position")
            seen.append("retention.detached" in [topic for (topic,) in topics])

    acts.at_record = look
    acts.detach(session, tmp_path)

    assert seen == [True, True]


def test_what_is_not_recorded_stays(acts: Acts, session: Connection[Any], tmp_path: Path) -> None:
    """Where the event cannot be recorded nothing is detached."""

    def fail() -> None:
        raise psycopg.OperationalError("the log is away")

    acts.at_record = fail
    with pytest.raises(psycopg.OperationalError):
        acts.detach(session, tmp_path)

    assert _attached(session)


def test_read_models_without_a_month(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """They keep what they have; made anew they would not, which is refused unless asked for."""
    acts.detach(session, tmp_path)
    kept = _audit_rows(session)
    recording.record(a_client(client_id="third"), a_client(client_id="fourth"))
    catch_up(recording.database_url)
    for work in (rebuild, verify):
        with pytest.raises(MonthsDetached, match=f"{THEN:%Y_%m}.*retention restore"):
            work(recording.database_url, AUDIT_TRAIL)
    went_on = _audit_rows(session)
    found = verify(recording.database_url, AUDIT_TRAIL, without_detached=True)
    rebuild(recording.database_url, AUDIT_TRAIL, without_detached=True)

    assert (kept, went_on) == (6, 10)
    assert (found.unexpected, found.missing) == (OLD, 0)
    assert _audit_rows(session) == 10 - OLD


@pytest.mark.parametrize("drop", [False, True])
def test_a_month_comes_back(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path, *, drop: bool
) -> None:
    """From the kept table or from the files alone: the same rows, and clean read models."""
    before = rows(recording.database_url)
    acts.detach(session, tmp_path, drop=drop)
    table = session.execute("SELECT to_regclass(%s)", (f"grantledger.{MONTH}",)).fetchall()
    restore(recording.database_url, session, _directory(tmp_path), record=acts.restored)
    catch_up(recording.database_url)

    assert (table[0][0] is None) == drop
    assert rows(recording.database_url)[: len(before)] == before
    assert months_left(session) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("DELETE FROM grantledger.ledger_events")
    for projection in PROJECTIONS:
        rebuild(recording.database_url, projection)
        assert verify(recording.database_url, projection).clean


def test_it_may_leave_again(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """A month that came back leaves again, with the same archive."""
    (first,) = acts.detach(session, tmp_path)
    restore(recording.database_url, session, _directory(tmp_path), record=acts.restored)
    catch_up(recording.database_url)
    (second,) = acts.detach(session, tmp_path)

    assert second.manifest_sha256 == first.manifest_sha256
    assert not _attached(session)


def test_a_month_that_grew_stays(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """What is recorded between archive and detachment is in no archive: the month comes back."""
    late = token()

    def write() -> None:
        recording.record(late)

    acts.at_record = write
    with pytest.raises(MonthGrew):
        acts.detach(session, tmp_path)

    assert _attached(session)
    assert late.id in [row.stream for row in rows(recording.database_url)]
    assert months_left(session) == []


def test_writers_go_on(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """An open transaction of a writer, which has seen the partition, is not cut off."""
    unit = StoredEvent(a_client(client_id="third").id, 1, "test.happened", b"{}")
    with psycopg.connect(recording.database_url, autocommit=True) as writer:
        writer.execute(APPEND, append_parameters([unit]))
        acts.detach(session, tmp_path)
        next_unit = StoredEvent(a_client(client_id="fourth").id, 1, "test.happened", b"{}")
        writer.execute(APPEND, append_parameters([next_unit]))

    assert len(positions(recording.database_url)) == 6


def test_a_detachment_that_was_broken_off_is_finished(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """One that waited for a query and was cancelled is finished by the next run."""
    with (
        psycopg.connect(recording.database_url) as reader,
        psycopg.connect(recording.database_url, autocommit=True) as other,
    ):
        reader.execute("SELECT count(*) FROM grantledger.ledger_events")

        def give_up() -> None:
            other.execute("SET statement_timeout = '300ms'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                other.execute(
                    "ALTER TABLE grantledger.ledger_events"
                    f" DETACH PARTITION grantledger.{MONTH} CONCURRENTLY"
                )
            raise KeyboardInterrupt

        acts.at_record = give_up
        with pytest.raises(KeyboardInterrupt):
            acts.detach(session, tmp_path)
        pending = [one.partition for one in attached_months(session) if one.pending]
    again = acts.detach(session, tmp_path)

    assert pending == [MONTH]
    assert again == []
    assert not _attached(session)
    assert [one.rows for one in months_left(session)] == [OLD]


def test_nothing_living_leaves(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """A month with a living family is neither archived nor detached."""
    recording.record(living_family())
    catch_up(recording.database_url)

    assert acts.detach(session, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert _attached(session)


@pytest.mark.parametrize("name", ["the log", "audit_trail"])
def test_one_at_a_time(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path, name: str
) -> None:
    """Beside another run, a rebuild or a drift check nothing is detached."""
    with (
        psycopg.connect(recording.database_url, autocommit=True) as other,
        maintenance(other, name),
        pytest.raises(MaintenanceRunning),
    ):
        acts.detach(session, tmp_path)

    assert _attached(session)


def _manifest(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    change(manifest)
    (directory / "manifest.json").write_text(json.dumps(manifest))


def _row_file(directory: Path) -> Path:
    (path,) = directory.glob("ledger/*.parquet")
    return path


TAMPERINGS: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "no manifest": (
        lambda d: (d / "manifest.json").unlink(),
        UnusableManifest,
        "this is no archived month",
    ),
    "a manifest that is none": (
        lambda d: (d / "manifest.json").write_text("{}"),
        UnusableManifest,
        "missing required field",
    ),
    "another month": (
        lambda d: _manifest(d, lambda m: m.update(partition="ledger_events_directory")),
        UnusableManifest,
        "no archived month of this version",
    ),
    "another manifest": (
        lambda d: _manifest(d, lambda m: m.update(issuer="https://other.example")),
        NothingToRestore,
        "the log recorded",
    ),
    "a changed row": (
        lambda d: _row_file(d).write_bytes(b"PAR1"),
        ArchiveNotWhole,
        "changed",
    ),
    "a missing row file": (lambda d: _row_file(d).unlink(), ArchiveNotWhole, "missing"),
    "a missing file of the export": (
        lambda d: next((d / "audit").rglob("*.parquet")).unlink(),
        ArchiveNotWhole,
        "missing",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_only_the_recorded_archive_comes_back(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path, name: str
) -> None:
    """Whatever was changed in the archive: it is refused, and nothing is attached or recorded."""
    tamper, error, text = TAMPERINGS[name]
    acts.detach(session, tmp_path, drop=True)
    tamper(_directory(tmp_path))
    with pytest.raises(error, match=text):
        restore(recording.database_url, session, _directory(tmp_path), record=acts.restored)

    assert not _attached(session)
    assert len(months_left(session)) == 1


@pytest.mark.parametrize(
    "change", ["UPDATE {} SET state = '{{}}' WHERE originator_version = 1", "DELETE FROM {}"]
)
def test_a_kept_table_that_was_changed(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path, change: str
) -> None:
    """A table that is no longer what was archived is not attached."""
    acts.detach(session, tmp_path)
    session.execute("SET session_replication_role = replica")  # past the trigger, as a superuser
    session.execute(change.format(f"grantledger.{MONTH}"))
    session.execute("SET session_replication_role = origin")
    with pytest.raises(ArchiveNotWhole, match=f"not what {MONTH} holds"):
        restore(recording.database_url, session, _directory(tmp_path), record=acts.restored)

    assert not _attached(session)


def test_what_is_there_needs_no_restoring(
    acts: Acts, recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """A month that is in the log is refused."""
    acts.detach(session, tmp_path)
    restore(recording.database_url, session, _directory(tmp_path), record=acts.restored)
    with pytest.raises(NothingToRestore, match="has not left"):
        restore(recording.database_url, session, _directory(tmp_path), record=acts.restored)
