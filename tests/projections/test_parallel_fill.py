"""Rebuilds by several processes at once."""

import os
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from projections import parallel_fill
from projections.audit_trail import AUDIT_TRAIL, SET_ASIDE, search
from projections.builds import other_builds
from projections.client_last_used import CLIENT_LAST_USED
from projections.event_filter import EventFilter
from projections.projection import Projection
from projections.rebuild import rebuild
from projections.verify import verify
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine this is."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.parametrize("projection", [AUDIT_TRAIL, CLIENT_LAST_USED], ids=lambda one: one.name)
def test_several_processes_write_what_one_would(
    recording: Recording, projection: Projection
) -> None:
    """Ranges are filled side by side, the rest after them; every event counts once."""
    recording.issue(330)
    catch_up(recording.database_url)
    done: list[int] = []
    rebuilt = rebuild(
        recording.database_url,
        projection,
        progress=lambda events, _: done.append(events),
        range_events=100,
    )

    assert done[:3] == [100, 200, 300]
    assert (rebuilt.build, rebuilt.position) == (2, 330)
    assert verify(recording.database_url, projection).clean


def test_what_one_process_cannot_read_is_set_aside(
    recording: Recording, session: Connection[Any]
) -> None:
    """An unreadable event in one range is marked in the new build; all others are in it."""
    recording.issue(250)
    catch_up(recording.database_url)
    session.execute("ALTER TABLE grantledger.ledger_events DISABLE TRIGGER append_only")
    session.execute("UPDATE grantledger.ledger_events SET state = '{' WHERE notification_id = 150")
    rebuild(recording.database_url, AUDIT_TRAIL, range_events=100)

    assert other_builds(session, AUDIT_TRAIL) == []
    assert session.execute("SELECT count(*) FROM read.audit_trail").fetchone() == (250,)
    assert [entry.position for entry in search(EventFilter(topic=SET_ASIDE)).fetch(session)] == [
        150
    ]


def test_what_stops_one_process_stops_all(
    recording: Recording, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure of a range is the failure of the rebuild; the live build is as it was."""
    recording.issue(250)
    catch_up(recording.database_url)
    monkeypatch.setattr(parallel_fill, "_fill_range", failing_range)

    with pytest.raises(psycopg.errors.DiskFull):
        rebuild(recording.database_url, AUDIT_TRAIL, range_events=100)
    assert other_builds(session, AUDIT_TRAIL) == []
    assert session.execute("SELECT count(*) FROM read.audit_trail").fetchone() == (250,)


def failing_range(*_: object) -> None:
    """Fail as a process whose disk is full."""
    raise psycopg.errors.DiskFull("no space left")
