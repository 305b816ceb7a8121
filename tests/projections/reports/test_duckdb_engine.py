"""DuckDB as an engine: what it opens, and in which values it answers."""

from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from duckdb import DuckDBPyConnection
from psycopg import Connection
from psycopg.sql import SQL

from projections.as_of import resolve
from projections.export.manifest import UnusableManifest
from projections.query import Query, answered
from projections.reports.duckdb_engine import DamagedExport, fetch, opened_export
from projections.reports.duckdb_engine import answered as answered_in_export
from projections.reports.report import Row
from tests.builders import NOON
from tests.projections.recording import Recording
from tests.projections.reports.asked import LATER, exported, write_export
from tests.projections.reports.story import Story


def _fetched(export: DuckDBPyConnection, statement: str, **values: Any) -> list[Row]:
    query = Query(SQL(statement), values, lambda **columns: tuple(columns.values()))
    return fetch(export, query)


def test_a_directory_without_an_export_is_refused(tmp_path: Path) -> None:
    """Parquet files without a manifest are not answered from, whoever put them there."""
    pq.write_table(pa.table({"one": [1]}), tmp_path / "events.parquet")

    with pytest.raises(UnusableManifest, match="this is no export"), opened_export(tmp_path):
        raise AssertionError("opened")


@pytest.mark.parametrize("damage", ["changed", "removed", "added"])
def test_a_damaged_export_is_refused(
    recording: Recording, session: Connection[Any], tmp_path: Path, damage: str
) -> None:
    """A file that was changed, taken away or added would change answers without a trace."""
    story = Story(recording)
    story.principal("alice")
    story.settle()
    write_export(session, tmp_path)
    (file,) = tmp_path.rglob("*.parquet")
    if damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"X")
    elif damage == "removed":
        file.unlink()
    else:
        file.with_name("events-90-99.parquet").write_bytes(file.read_bytes())

    with pytest.raises(DamagedExport, match="events-"), opened_export(tmp_path):
        raise AssertionError("opened")


def test_values_are_those_that_psycopg_gives(
    recording: Recording, session: Connection[Any]
) -> None:
    """Moments in UTC, ids, lists, facts and whole numbers."""
    story = Story(recording)
    token = story.machine_token(story.client("plain"))
    story.settle()
    wanted = "position, occurred_at, jti, scope, actors, detail->'withheld_by_owner' AS w"
    with exported(session) as export:
        rows = _fetched(
            export,
            f"SELECT {wanted} FROM read.audit_trail WHERE occurred_at = %(at)s",
            at=story.now,
        )
        (total,) = _fetched(export, "SELECT sum(position) AS s FROM read.audit_trail")

    assert rows == [(2, story.now, token.id, ["service", "mcp"], None, ["user"])]
    assert isinstance(rows[0][2], UUID)
    assert rows[0][1].tzinfo is UTC
    assert (type(total[0]), total[0]) == (int, 3)


def test_the_past_of_an_export_is_that_of_the_log(
    recording: Recording, session: Connection[Any]
) -> None:
    """A moment and a position mean the same prefix, in both."""
    story = Story(recording)
    story.principal("alice")
    story.principal("bob")
    story.settle()
    moments = (None, 0, 1, 2, 99, NOON, NOON + timedelta(seconds=90), story.now, LATER)
    with exported(session) as export:
        for asked in moments:
            in_export = answered_in_export(resolve(asked, now=LATER), export)

            assert in_export == answered(resolve(asked, now=LATER), session)


def test_an_answer_opens_no_other_file(
    recording: Recording, session: Connection[Any], tmp_path: Path
) -> None:
    """Neither files outside of the export nor the network: not even for SQL of our own."""
    Story(recording).principal("alice")
    Story(recording).settle()
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"one": [1]}), other)
    with exported(session) as export:
        for statement in (
            f"SELECT * FROM read_parquet('{other}')",
            "SELECT * FROM read_csv('/etc/hostname')",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                _fetched(export, statement)


def test_text_is_compared_as_bytes(recording: Recording, session: Connection[Any]) -> None:
    """DuckDB and COLLATE "C" of PostgreSQL have the same order."""
    del recording
    names = ["b", "B", "_", "a", "é", "z"]
    values = ", ".join(f"('{name}')" for name in names)
    ordered = f'SELECT name FROM (VALUES {values}) AS t(name) ORDER BY name COLLATE "C"'

    assert session.execute(ordered).fetchall() == duckdb.execute(ordered).fetchall()
