"""`grantledger report NAME --from-export DIR`: the same answer, without the database."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from projections.session import open_session
from tests.cli.in_process import CommandLine
from tests.projections.export.exports import export_now
from tests.projections.reports.asked import write_export

NO_DATABASE = "postgresql://nobody@/nowhere?host=/nonexistent"


@pytest.fixture
def export(projected: CommandLine, tmp_path: Path) -> Path:
    """An export of all there is."""
    url = projected.environment["GRANTLEDGER_DATABASE_URL"]
    with closing(open_session(url, name="test")) as session:
        write_export(session, tmp_path)
    return tmp_path


def _answer(cli: CommandLine, *arguments: str, **environment: str) -> Any:
    result = cli.run("report", *arguments, "--format", "json", **environment)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    del answer["made_at"]
    return answer


@pytest.mark.parametrize(
    "arguments",
    [
        ("client-inventory", "--as-of", "7"),
        ("signing-keys", "--as-of", "7"),
        ("sample", "--seed", "1", "--since", "2026-01-01", "--as-of", "7"),
        ("policy-drift", "--since", "1", "--as-of", "7"),
    ],
)
def test_answers_as_the_database_does(
    projected: CommandLine, export: Path, arguments: tuple[str, ...]
) -> None:
    """The same rows as of the same position, with no database in reach.

    A position below the newest: as of the newest, each answer has its own present as its clock.
    """
    by_export = _answer(
        projected,
        *arguments,
        "--from-export",
        str(export),
        GRANTLEDGER_DATABASE_URL=NO_DATABASE,
    )

    assert by_export == _answer(projected, *arguments)


def test_an_export_that_is_not_whole_is_refused(
    projected: CommandLine, export: Path, tmp_path: Path
) -> None:
    """One line says what is wrong with it."""
    min(export.rglob("*.parquet")).unlink()  # of one day, or of two
    asked = ("report", "signing-keys", "--from-export")
    damaged = projected.refused(*asked, str(export), code=1)
    (export / "manifest.json").unlink()
    empty = projected.refused(*asked, str(export), code=1)

    assert "missing" in damaged
    assert "this is no export" in empty
    assert projected.run(*asked, str(tmp_path / "nowhere")).exit_code == 2


def test_an_export_that_begins_later_says_so(projected: CommandLine, tmp_path: Path) -> None:
    """What was before its beginning is missing from the answer, and whoever reads it knows."""
    directory = tmp_path / "later"
    export_now(projected.environment["GRANTLEDGER_DATABASE_URL"], directory, 8, first=3)
    result = projected.run("report", "signing-keys", "--from-export", str(directory))

    assert result.exit_code == 0
    assert "note: the export begins at position 3, not at 1" in result.stderr
