"""`grantledger export` and `export-verify`: what they write, record and refuse."""

import json
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from tests.cli.in_process import CommandLine


@pytest.fixture
def recorded(cli: CommandLine) -> CommandLine:
    """The command line with an audit trail that is up to date."""
    cli.succeed("projections", "rebuild", "audit_trail")
    return cli


def _events(cli: CommandLine, topic: str) -> list[dict[str, object]]:
    with psycopg.connect(cli.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT state FROM grantledger.events WHERE topic = %s ORDER BY position", (topic,)
        ).fetchall()
    return [state for (state,) in rows]


def test_export_and_verify(recorded: CommandLine, tmp_path: Path) -> None:
    """Everything recorded is exported, and the files are proven by the hash that was recorded."""
    out = str(tmp_path / "export")
    done = recorded.json("export", "--out", out, "--reason", "audit 2026")
    (started,) = _events(recorded, "audit_export.started")
    (finished,) = _events(recorded, "audit_export.finished")
    checked = recorded.json("export-verify", out, "--sha256", str(finished["manifest_sha256"]))

    assert (done["first_position"], done["last_position"], done["rows"]) == (1, 8, 8)
    assert (started["rows"], started["last_position"]) == (8, 8)
    assert started["why"] == "audit 2026"
    assert str(started["by"]).startswith("cli:")
    assert finished["manifest_sha256"] == done["manifest_sha256"]
    assert (checked["rows"], checked["problems"]) == (8, [])
    assert "rows" in recorded.succeed("export-verify", out)


def test_the_same_range_again_is_not_recorded(recorded: CommandLine, tmp_path: Path) -> None:
    """A run that writes nothing leaves no event: the data had left before."""
    asked = ("export", "--from", "2", "--to", "5", "--out", str(tmp_path))
    recorded.succeed(*asked)
    again = recorded.json(*asked)

    assert (again["rows"], again["written"], again["kept"]) == (4, 0, 1)
    assert len(_events(recorded, "audit_export.started")) == 1


def test_a_changed_file_ends_with_exit_code_1(recorded: CommandLine, tmp_path: Path) -> None:
    """The problem is named, and a script sees it."""
    recorded.succeed("export", "--out", str(tmp_path))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(b"PAR1")
    found = recorded.run("export-verify", str(tmp_path))
    in_json = recorded.run("export-verify", str(tmp_path), "--json")

    assert (found.exit_code, in_json.exit_code) == (1, 1)
    assert "changed" in found.stdout
    assert json.loads(in_json.stdout)["problems"]


def test_no_secret_is_exported(recorded: CommandLine, tmp_path: Path) -> None:
    """No client secret and no verifier of one is in any file, in plain or compressed columns."""
    kept = json.loads((recorded.data_dir / "bootstrap.json").read_text())
    recorded.succeed("export", "--out", str(tmp_path))
    (path,) = tmp_path.rglob("*.parquet")
    with psycopg.connect(recorded.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        verifiers = connection.execute(
            "SELECT state->>'verifier' FROM grantledger.events WHERE state ? 'verifier'"
        ).fetchall()
    rows = _rows(path)

    assert verifiers
    assert all(str(verifier) not in rows for (verifier,) in verifiers)
    assert kept["demo"]["client_secret"] not in rows
    assert "verifier" not in rows


def _rows(path: Path) -> str:
    """Return every value of a file as text."""
    return str(pq.ParquetFile(path).read().to_pylist())


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("export", "--from", "5", "--to", "2"), 1, "nothing to export"),
        (("export", "--from", "100"), 1, "nothing to export"),
        (("export", "--out", "/dev/null/export"), 1, "Not a directory"),
        (("export-verify", "/nowhere"), 1, "this is no export"),
    ],
)
def test_refusals(
    projected: CommandLine,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    line: str,
) -> None:
    """One line that says why, and exit code 1."""
    out = () if "--out" in arguments or arguments[0] != "export" else ("--out", str(tmp_path))

    assert line in projected.refused(*arguments, *out, code=code)


def test_wrong_usage(projected: CommandLine, tmp_path: Path) -> None:
    """What is neither a moment nor a position is wrong usage, and so is no directory."""
    assert projected.run("export", "--from", "yesterday", "--out", str(tmp_path)).exit_code == 2
    assert projected.run("export").exit_code == 2


def test_the_database_is_away(projected: CommandLine, tmp_path: Path) -> None:
    """Nothing is written where PostgreSQL cannot be reached."""
    result = projected.run(
        "export", "--out", str(tmp_path), GRANTLEDGER_DATABASE_URL="postgresql:///x?host=/nowhere"
    )

    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []
