"""A rebuild replaces a read model under its readers and its leader; nobody notices."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import LockNotAvailable

from projections import rebuild as rebuild_module
from projections.audit_trail import AUDIT_TRAIL
from projections.builds import create_build, ensure_tables, other_builds
from projections.client_last_used import CLIENT_LAST_USED
from projections.projection import Projection
from projections.rebuild import Rebuilt, rebuild
from projections.registry import PROJECTIONS
from projections.runner import Projector
from projections.session import MaintenanceRunning, maintenance
from projections.verify import verify
from tests.projections.projecting import catch_up, eventually_caught_up, projecting, status
from tests.projections.recording import Recording
from tests.waiting import eventually


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: str(projection.name))
def test_rebuilds_while_events_arrive(recording: Recording, projection: Projection) -> None:
    """Under a writer, a leader and a reader: no reader sees a gap, no event counts twice."""
    recording.issue(300)
    with projecting(Projector(recording.database_url)):
        eventually_caught_up(recording.database_url)
        with (
            _repeating(lambda: recording.issue(5)) as units,
            _reading(recording.database_url) as seen,
        ):
            eventually(lambda: len(units) > 5)
            rebuilt = rebuild(recording.database_url, projection, batch_events=50)
            units_then, seen_then = len(units), len(seen)
            eventually(lambda: len(units) > units_then + 5 and len(seen) > seen_then + 5)
        eventually_caught_up(recording.database_url)
    reports = [verify(recording.database_url, each) for each in PROJECTIONS]

    assert rebuilt.build == 2
    assert 300 < rebuilt.position <= units[-1]
    assert all(count == last for count, last, _ in seen)
    assert [list(column) for column in zip(*seen, strict=True)] == [
        sorted(column) for column in zip(*seen, strict=True)
    ]
    assert [report.clean for report in reports] == [True] * len(PROJECTIONS)
    assert {report.position for report in reports} == {units[-1]}


def test_takes_over_where_the_leader_is(recording: Recording, session: Connection[Any]) -> None:
    """What was projected since the new build was filled comes in while the leader is held."""
    held: list[bool] = []

    def progress(done: int, _total: int) -> None:
        if done < 15:  # twice, until the build is ready to take over: the leader runs ahead
            recording.issue(5)
            catch_up(recording.database_url)
        else:
            held.append(_tracking_row_is_locked(session))

    recording.issue(5)
    catch_up(recording.database_url)
    rebuilt = rebuild(recording.database_url, AUDIT_TRAIL, progress=progress)

    assert rebuilt == Rebuilt("audit_trail", 2, 15)
    assert held == [True]
    assert verify(recording.database_url, AUDIT_TRAIL).clean


def test_repairs_what_was_tampered_with(recording: Recording, session: Connection[Any]) -> None:
    """The new build is what the log says, and the old one is gone."""
    recording.issue(9)
    catch_up(recording.database_url)
    session.execute("UPDATE read.client_last_used_b1 SET uses = 1000")
    rebuilt = rebuild(recording.database_url, CLIENT_LAST_USED)

    assert rebuilt == Rebuilt("client_last_used", 2, 9)
    assert status(recording.database_url, [CLIENT_LAST_USED])[0].build == 2
    assert verify(recording.database_url, CLIENT_LAST_USED).clean
    assert _builds(session, CLIENT_LAST_USED) == ["client_last_used_b2"]


def test_builds_what_was_never_built(recording: Recording) -> None:
    """Without a leader, and before anything was projected, it works from the log alone."""
    recording.issue(9)
    rebuilt = rebuild(recording.database_url, AUDIT_TRAIL, batch_events=2)

    assert rebuilt.position == 9
    assert verify(recording.database_url, AUDIT_TRAIL).clean


def test_says_how_far_it_is(recording: Recording) -> None:
    """Progress rises to the whole, in events."""
    recording.issue(25)
    told: list[tuple[int, int]] = []
    rebuild(
        recording.database_url,
        AUDIT_TRAIL,
        progress=lambda done, total: told.append((done, total)),
        batch_events=10,
    )

    assert told == [(10, 25), (20, 25), (25, 25)]


def test_indexes_the_new_build_like_the_old(recording: Recording, session: Connection[Any]) -> None:
    """A rebuilt table has the same indexes under its own names."""
    ensure_tables(session, PROJECTIONS)
    before = _indexes(session)
    rebuild(recording.database_url, AUDIT_TRAIL)

    assert [index.replace("_b1", "_b2") for index in before] == _indexes(session)
    assert len(before) == 11


def test_clears_away_what_a_broken_off_rebuild_left(
    recording: Recording, session: Connection[Any]
) -> None:
    """A table of a rebuild that died is dropped by the next one."""
    ensure_tables(session, PROJECTIONS)
    create_build(session, AUDIT_TRAIL, 2)
    recording.issue(3)
    rebuild(recording.database_url, AUDIT_TRAIL)

    assert other_builds(session, AUDIT_TRAIL) == []
    assert verify(recording.database_url, AUDIT_TRAIL).clean


def test_leaves_the_live_build_alone_when_it_fails(
    recording: Recording, session: Connection[Any]
) -> None:
    """A rebuild that fails changes nothing and leaves nothing."""
    recording.issue(3)
    catch_up(recording.database_url)
    broken = replace(AUDIT_TRAIL, indexes=(("none", "(no_such_column)"),))

    with pytest.raises(psycopg.errors.UndefinedColumn):
        rebuild(recording.database_url, broken)

    assert _builds(session, AUDIT_TRAIL) == ["audit_trail_b1"]
    assert verify(recording.database_url, AUDIT_TRAIL).build == 1


def test_is_refused_while_another_runs(recording: Recording, session: Connection[Any]) -> None:
    """Two rebuilds, or a rebuild and a drift check, of one projection exclude each other."""
    with (
        maintenance(session, "audit_trail"),
        pytest.raises(MaintenanceRunning, match="audit_trail is being rebuilt or verified"),
    ):
        rebuild(recording.database_url, AUDIT_TRAIL)

    assert rebuild(recording.database_url, AUDIT_TRAIL).build == 2


def test_gives_up_where_readers_never_leave(
    recording: Recording, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that stays in the view keeps the old build live; the next rebuild gets through."""
    monkeypatch.setattr(rebuild_module, "SWITCH_ATTEMPTS", 1)
    recording.issue(3)
    catch_up(recording.database_url)
    with session.transaction():
        session.execute("SELECT count(*) FROM read.audit_trail")
        with pytest.raises(LockNotAvailable):
            rebuild(recording.database_url, AUDIT_TRAIL)

    assert status(recording.database_url, [AUDIT_TRAIL])[0].build == 1
    assert rebuild(recording.database_url, AUDIT_TRAIL) == Rebuilt("audit_trail", 2, 3)


@pytest.mark.parametrize(
    "columns",
    [
        CLIENT_LAST_USED.columns.replace("uses bigint NOT NULL,", "uses bigint, added integer,"),
        CLIENT_LAST_USED.columns.replace("uses bigint", "uses numeric"),
    ],
    ids=["a column between", "another type"],
)
def test_changes_the_columns(recording: Recording, session: Connection[Any], columns: str) -> None:
    """A new version of a read model gets its new columns by a rebuild."""
    recording.issue(3)
    catch_up(recording.database_url)
    changed = replace(CLIENT_LAST_USED, columns=columns)
    rebuild(recording.database_url, changed)
    catch_up(recording.database_url, [changed])

    assert verify(recording.database_url, changed).clean


def test_keeps_what_others_built_on_the_view(
    recording: Recording, session: Connection[Any]
) -> None:
    """An operator's own view over ours survives a rebuild and shows the new build."""
    catch_up(recording.database_url)
    session.execute("CREATE VIEW read.report AS SELECT count(*) AS n FROM read.audit_trail")
    recording.issue(3)
    rebuild(recording.database_url, AUDIT_TRAIL)

    assert session.execute("SELECT n FROM read.report").fetchone() == (3,)


@contextmanager
def _repeating(step: Callable[[], Any]) -> Iterator[Sequence[Any]]:
    """Do `step` over and over in a thread; yield what it returned so far."""
    stop, results = Event(), list[Any]()

    def run() -> None:
        while not stop.is_set():
            results.append(step())

    thread = Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        stop.set()
        thread.join()


@contextmanager
def _reading(database_url: str) -> Iterator[Sequence[tuple[int, int, int]]]:
    """Yield what a reader saw so far: entries, the last position of them, and uses."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def look() -> Any:
            return connection.execute(
                "SELECT count(*), max(position),"
                " (SELECT sum(uses) FROM read.client_last_used WHERE kind = 'client')"
                " FROM read.audit_trail"
            ).fetchone()

        with _repeating(look) as seen:
            yield seen


def _tracking_row_is_locked(session: Connection[Any]) -> bool:
    try:
        session.execute("SELECT 1 FROM grantledger.projections FOR UPDATE NOWAIT")
    except LockNotAvailable:
        return True
    return False


def _builds(session: Connection[Any], projection: Projection) -> list[str]:
    rows = session.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'read' AND tablename LIKE %s",
        (f"{projection.name}%",),
    )
    return [name for (name,) in rows]


def _indexes(session: Connection[Any]) -> list[str]:
    rows = session.execute(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'read' AND indexname LIKE 'audit%'"
        " ORDER BY indexname"
    )
    return [definition for (definition,) in rows]
