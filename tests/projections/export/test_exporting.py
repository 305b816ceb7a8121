"""Exports: which files there are, that they repeat byte for byte, and that they go on."""

import fcntl
import os
import signal
import stat
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from psycopg import Connection

from projections.audit_trail import SET_ASIDE, AuditEntry, search
from projections.export.asked_range import EmptyRange, asked_range
from projections.export.checking import check
from projections.export.columns import SCHEMA
from projections.export.exporting import ExportRefused
from projections.export.manifest import UnusableManifest, read_manifest
from projections.export.parts import PositionRange
from projections.export.published import DirectoryInUse
from tests.builders import records
from tests.projections.export.conftest import FIRST_DAY, HOURLY, add_events
from tests.projections.export.exports import content, export_now
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording

LAYOUT = [
    "events/date=2026-03-01/events-000000000001-000000000002.parquet",
    "events/date=2026-03-02/events-000000000003-000000000010.parquet",
    "events/date=2026-03-02/events-000000000011-000000000020.parquet",
    "events/date=2026-03-02/events-000000000021-000000000026.parquet",
    "events/date=2026-03-03/events-000000000027-000000000030.parquet",
    "events/date=2026-03-03/events-000000000031-000000000035.parquet",
]


def test_files_by_day_and_range(trail: str, tmp_path: Path) -> None:
    """Each UTC day of each fixed range of positions is a file, and the manifest lists them."""
    done = export_now(trail, tmp_path, 35)

    assert sorted(content(tmp_path)) == [*LAYOUT, "manifest.json"]
    assert [file.path for file in read_manifest(tmp_path).files] == LAYOUT
    assert (done.manifest.rows, done.written, done.kept) == (35, len(LAYOUT), 0)
    assert done.manifest.last_recorded_at == FIRST_DAY + timedelta(hours=34)
    assert check(tmp_path).problems == ()


def test_an_export_is_as_private_as_a_backup(trail: str, tmp_path: Path) -> None:
    """Whatever the umask, directories that it makes and all files are their owner's alone; a
    directory that was there keeps its mode.
    """
    tmp_path.chmod(0o755)
    before = os.umask(0)
    try:
        export_now(trail, tmp_path / "new" / "export", 35)
    finally:
        os.umask(before)
    made = list((tmp_path / "new").rglob("*"))

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert {stat.S_IMODE(one.stat().st_mode) for one in made if one.is_file()} == {0o600}
    assert {stat.S_IMODE(one.stat().st_mode) for one in made if one.is_dir()} == {0o700}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_rows_are_those_of_the_audit_trail(
    trail: str, session: Connection[Any], tmp_path: Path
) -> None:
    """Columns, types and values: jti as text, facts as JSON text, lists as lists."""
    export_now(trail, tmp_path, 35)
    entry = search().fetch(session)[30]
    path = tmp_path / LAYOUT[5]
    row = pq.ParquetFile(path).read().to_pylist()[0]

    assert SCHEMA.names == list(AuditEntry.__dataclass_fields__)
    assert pq.ParquetFile(path).schema_arrow.equals(SCHEMA)
    assert {pq.ParquetFile(path).metadata.row_group(0).column(0).compression} == {"ZSTD"}
    assert row["jti"] == str(entry.jti)
    assert row["detail"] == '{"a": [null, "é"], "b": 1}'
    assert (row["scope"], row["actors"]) == (["user", 'a "quoted" one'], None)
    assert row["recorded_at"] == entry.recorded_at


def test_duckdb_reads_it(trail: str, tmp_path: Path) -> None:
    """The recipe of docs/export.md: one relation over all files, days as a column."""
    export_now(trail, tmp_path, HOURLY)
    relation = f"read_parquet('{tmp_path}/events/**/*.parquet', hive_partitioning = true)"
    with duckdb.connect() as engine:
        found = engine.execute(
            f"SELECT date::text, count(*), max(detail->>'b') FROM {relation} GROUP BY 1 ORDER BY 1"
        ).fetchall()

    assert found == [("2026-03-01", 2, "1"), ("2026-03-02", 24, "1"), ("2026-03-03", 14, "1")]


def test_the_same_range_again_writes_nothing(trail: str, tmp_path: Path) -> None:
    """Everything is kept, the manifest too, and nothing is announced."""
    announced: list[tuple[PositionRange, int]] = []
    first = export_now(trail, tmp_path, 35, announced=announced)
    before = content(tmp_path)
    again = export_now(trail, tmp_path, 35, announced=announced)

    assert announced == [(PositionRange(1, 35), 35)]
    assert (again.written, again.kept) == (0, len(LAYOUT))
    assert again.manifest_sha256 == first.manifest_sha256
    assert content(tmp_path) == before


def test_the_same_range_elsewhere_gives_the_same_bytes(trail: str, tmp_path: Path) -> None:
    """Two exports of one range are equal byte for byte, manifest included."""
    export_now(trail, tmp_path / "a", 35)
    export_now(trail, tmp_path / "b", 35)

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_an_export_goes_on(trail: str, tmp_path: Path) -> None:
    """A later run adds what is new and replaces the one file that grew: as if done at once."""
    export_now(trail, tmp_path / "steps", 33)
    add_events(trail, HOURLY + 1, HOURLY + 20)
    done = export_now(trail, tmp_path / "steps", HOURLY + 20, first=20)
    export_now(trail, tmp_path / "once", HOURLY + 20)

    assert done.kept == 5
    assert content(tmp_path / "steps") == content(tmp_path / "once")


def test_a_part_of_what_is_there_changes_nothing(trail: str, tmp_path: Path) -> None:
    """A range inside the export is there already."""
    export_now(trail, tmp_path, 35)
    before = content(tmp_path)
    done = export_now(trail, tmp_path, 12, first=5)

    assert done.written == 0
    assert content(tmp_path) == before


def test_announced_before_the_first_file(trail: str, tmp_path: Path) -> None:
    """Where the announcement fails no file is written, and no manifest."""

    def refuse(_of: PositionRange, _rows: int) -> None:
        raise RuntimeError("the log is away")

    with pytest.raises(RuntimeError, match="the log is away"):
        export_now(trail, tmp_path, 35, announced=_Refusing(refuse))

    assert content(tmp_path) == {}


class _Refusing(list[tuple[PositionRange, int]]):
    """A list of announcements that takes none."""

    def __init__(self, refuse: Any) -> None:
        super().__init__()
        self._refuse = refuse

    def append(self, note: tuple[PositionRange, int]) -> None:
        self._refuse(*note)


def test_goes_on_after_it_was_broken_off(trail: str, tmp_path: Path) -> None:
    """A run that died leaves whole files alone; the next one completes the export and tidies up."""

    def die(done: int, _total: int) -> None:
        if done > 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_now(trail, tmp_path / "broken", 35, progress=die)
    unfinished = tmp_path / "broken" / LAYOUT[0]
    unfinished.with_name(".events-1-2.parquet.unfinished").write_bytes(b"half")
    unfinished.with_name("events-000000000001-000000000001.parquet").write_bytes(b"another")
    found = check(tmp_path / "broken").problems
    done = export_now(trail, tmp_path / "broken", 35)
    export_now(trail, tmp_path / "once", 35)

    assert any("broken off" in problem for problem in found)
    assert done.manifest.complete
    assert content(tmp_path / "broken") == content(tmp_path / "once")


def killed_export(database_url: str, directory: Path) -> None:
    """Export until the first file is there; then this process dies at once."""

    def die(_done: int, _total: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    export_now(database_url, directory, 35, progress=die)


def test_a_killed_run_goes_on(trail: str, tmp_path: Path) -> None:
    """SIGKILL at any file: what has its final name is whole, and the next run completes it."""
    process = get_context("spawn").Process(target=killed_export, args=(trail, tmp_path / "killed"))
    process.start()
    process.join(60)
    whole = [pq.ParquetFile(path) for path in (tmp_path / "killed").rglob("events-*.parquet")]
    export_now(trail, tmp_path / "killed", 35)
    export_now(trail, tmp_path / "once", 35)

    assert process.exitcode == -signal.SIGKILL
    assert whole
    assert content(tmp_path / "killed") == content(tmp_path / "once")


def test_a_changed_file_is_written_again(trail: str, tmp_path: Path) -> None:
    """What no longer has the hash of the manifest is exported anew."""
    export_now(trail, tmp_path, 35)
    before = content(tmp_path)
    (tmp_path / LAYOUT[2]).write_bytes(b"changed")
    done = export_now(trail, tmp_path, 35)

    assert (done.written, done.kept) == (1, len(LAYOUT) - 1)
    assert content(tmp_path) == before


def test_positions_that_the_audit_trail_lacks(trail: str, tmp_path: Path) -> None:
    """They are named as gaps, and the export is whole without them."""
    with psycopg.connect(trail) as connection:
        connection.execute("DELETE FROM read.audit_trail WHERE position IN (1, 12, 13, 35)")
    done = export_now(trail, tmp_path, 35)

    assert done.manifest.gaps == ((1, 1), (12, 13), (35, 35))
    assert check(tmp_path).problems == ()


def test_a_clock_that_was_set_back(trail: str, tmp_path: Path) -> None:
    """An event recorded "earlier" than its predecessor goes to its day, and nothing is lost."""
    with psycopg.connect(trail) as connection:
        connection.execute(
            "UPDATE read.audit_trail SET recorded_at = recorded_at - interval '1 day'"
            " WHERE position = 15"
        )
    done = export_now(trail, tmp_path, 35)

    assert "events/date=2026-03-01/events-000000000015-000000000015.parquet" in content(tmp_path)
    assert done.manifest.rows == 35
    assert check(tmp_path).problems == ()


def test_refusals(trail: str, tmp_path: Path) -> None:
    """Another service's export, a range that leaves a gap, a manifest that is none, and nothing."""
    export_now(trail, tmp_path / "a", 10)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text("{}")
    (tmp_path / "c").mkdir()
    text = (tmp_path / "a" / "manifest.json").read_text()
    (tmp_path / "c" / "manifest.json").write_text(
        text.replace('"schema_version": 1', '"schema_version": 99')
    )

    with pytest.raises(ExportRefused, match="holds an export of"):
        export_now(trail, tmp_path / "a", 10, issuer="https://other.example")
    with pytest.raises(ExportRefused, match="would leave a gap"):
        export_now(trail, tmp_path / "a", 30, first=20)
    with pytest.raises(UnusableManifest, match="missing required field"):
        export_now(trail, tmp_path / "b", 10)
    with pytest.raises(UnusableManifest, match="choose another directory"):
        export_now(trail, tmp_path / "c", 10)
    with pytest.raises(ExportRefused, match="nothing is recorded"):
        export_now(trail, tmp_path / "d", 200, first=100)


def test_one_writer_a_directory(trail: str, tmp_path: Path) -> None:
    """A second process is refused while the first writes."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(DirectoryInUse):
            export_now(trail, tmp_path, 35)
    finally:
        os.close(descriptor)


def test_asked_ranges(trail: str, session: Connection[Any]) -> None:
    """Moments and positions, both inclusive; nothing asked is everything there is."""
    hour = timedelta(hours=1)
    now = FIRST_DAY + timedelta(days=9)

    assert asked_range(session, None, None, now=now) == PositionRange(1, HOURLY)
    assert asked_range(session, 0, 7, now=now) == PositionRange(1, 7)
    assert asked_range(session, FIRST_DAY + hour, FIRST_DAY + 3 * hour, now=now) == (
        PositionRange(2, 4)
    )
    with pytest.raises(EmptyRange, match="nothing to export"):
        asked_range(session, 20, 7, now=now)


def test_events_set_aside_are_in_the_manifest(
    session: Connection[Any], database_url: str, tmp_path: Path
) -> None:
    """The export goes on past them, names each, and is renewed once they can be taken; without any
    the manifest says nothing of it.
    """
    with Recording(database_url) as recording:
        recording.issue(12)
        recording._recorder.insert_events(records(state=b"not json"))
        recording.issue(12)
    catch_up(database_url)
    export_now(database_url, tmp_path, 25)
    told = read_manifest(tmp_path).set_aside
    problems = check(tmp_path).problems
    (row,) = (
        pq.ParquetFile(_holding(tmp_path, 13)).read().filter(pc.field("position") == 13).to_pylist()
    )
    # As if the event could be taken now.
    session.execute("UPDATE read.audit_trail SET topic = 'token.issued' WHERE position = 13")
    again = export_now(database_url, tmp_path, 25)

    assert told == ((13, "test.happened"),)
    assert problems == ()
    assert (row["topic"], row["outcome"]) == (SET_ASIDE, "failure")
    assert "unreadable" in row["detail"]
    assert (again.written, again.manifest.set_aside) == (1, ())
    assert check(tmp_path).problems == ()
    assert b"set_aside" not in (tmp_path / "manifest.json").read_bytes()


def _holding(directory: Path, position: int) -> Path:
    (file,) = (
        file
        for file in read_manifest(directory).files
        if file.first_position <= position <= file.last_position
    )
    return directory / file.path
