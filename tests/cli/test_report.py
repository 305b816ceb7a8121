"""`grantledger report ...`: the same answer as a table, JSON, CSV and Parquet."""

import csv
import io
import json
import os
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.in_process import CommandLine

AT = ("--as-of", "8")
"""What the first run recorded; each reading adds to the log."""


def test_list(projected: CommandLine) -> None:
    """Each report is listed with its question, with --list and without the name of one."""
    listed = projected.succeed("report", "--list")

    assert "client-inventory" in listed
    assert "who owns them" in listed
    assert projected.succeed("report") == listed


def test_help_of_a_report(projected: CommandLine) -> None:
    """A report's help has its question, its columns and its parameters."""
    text = projected.succeed("report", "client-inventory", "--help")

    assert "who owns them" in text
    assert "changed_by" in text
    assert "--owner" in text


def test_table(projected: CommandLine) -> None:
    """The rows on standard output, what they rest on beside them."""
    result = projected.run("report", "client-inventory", "--as-of", "8")

    assert result.exit_code == 0
    assert "demo" in result.stdout
    assert "as of position 8 (" in result.stderr
    assert "2 rows" in result.stderr


def test_json(projected: CommandLine) -> None:
    """JSON says report, parameters, position and moment, and has an object a row."""
    answer = json.loads(
        projected.succeed("report", "client-inventory", *AT, "--owner", "owner", "--format", "json")
    )

    assert (answer["report"], answer["parameters"]) == ("client-inventory", {"owner": "owner"})
    assert answer["as_of"]["position"] == 8
    assert [row["client_id"] for row in answer["rows"]] == ["demo"]
    assert list(answer["rows"][0]) == answer["columns"]


def test_as_of(projected: CommandLine) -> None:
    """Before its registration a client is not there."""
    answer = json.loads(
        projected.succeed("report", "client-inventory", "--as-of", "1", "--format", "json")
    )

    assert answer["as_of"]["position"] == 1
    assert "demo" not in {row["client_id"] for row in answer["rows"]}
    assert "0 rows" in projected.run("report", "client-inventory", "--as-of=-90d").stderr


def test_csv(projected: CommandLine, tmp_path: Path) -> None:
    """A line of names, then the rows; --out writes them to a file."""
    out = tmp_path / "clients.csv"
    printed = projected.run("report", "client-inventory", "--format", "csv")
    projected.succeed("report", "client-inventory", "--format", "csv", "--out", str(out))
    rows = list(csv.DictReader(io.StringIO(out.read_text())))

    assert printed.stdout_bytes == out.read_bytes()
    assert {row["client_id"] for row in rows} == {"administration", "demo"}
    assert {row["enabled"] for row in rows} == {"true"}


def test_parquet(projected: CommandLine, tmp_path: Path) -> None:
    """Typed columns, and what the answer rests on in the metadata."""
    out = tmp_path / "clients.parquet"
    projected.succeed("report", "client-inventory", *AT, "--format", "parquet", "--out", str(out))
    table = pq.read_table(out)
    rests_on = json.loads(table.schema.metadata[b"grantledger"])

    assert sorted(table["client_id"].to_pylist()) == ["administration", "demo"]
    assert table["scopes"].to_pylist()[0]
    assert str(table.schema.field("registered_at").type) == "timestamp[us, tz=UTC]"
    assert rests_on["as_of"]["position"] == 8


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("client-inventory", "--as-of", "yesterday"), "2026-03-03T12:00:00Z"),
        (("client-inventory", "--format", "xml"), "xml"),
        (("client-inventory", "--out", "x"), "--format"),
        (("everything",), "everything"),
    ],
)
def test_wrong_usage(projected: CommandLine, arguments: tuple[str, ...], says: str) -> None:
    """What cannot be answered is wrong usage, with a hint."""
    result = projected.run("report", *arguments)

    assert result.exit_code == 2
    assert says in result.stderr


def test_out_that_cannot_be_written(projected: CommandLine, tmp_path: Path) -> None:
    """One line says which file, and why."""
    out = str(tmp_path / "missing" / "x.csv")
    result = projected.run("report", "client-inventory", "--format", "csv", "--out", out)

    assert result.exit_code == 1
    assert f"{out}: No such file or directory" in result.stderr


def test_an_answer_in_a_file_is_private(unchanged: CommandLine, tmp_path: Path) -> None:
    """An answer tells as much of people as an export: its file is for its owner alone, whatever the
    umask, and whatever file was there before.
    """
    files = [tmp_path / "new.json", tmp_path / "old.json"]
    before = os.umask(0)
    try:
        files[1].write_text("older and longer than nothing" * 10_000)
        for file in files:
            asked = ("report", "client-inventory", "--format", "json", "--out", str(file))
            unchanged.succeed(*asked)
    finally:
        os.umask(before)

    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {json.loads(file.read_text())["report"] for file in files} == {"client-inventory"}
