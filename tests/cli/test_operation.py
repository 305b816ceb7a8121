"""`grantledger migrate` and `status`, and what the program says when it cannot work."""

import json
from pathlib import Path

import psycopg
import pytest

from application.ledger.schema import MIGRATIONS
from application.secrets_file import load_secret_keys
from application.settings import load_settings
from tests.cli.in_process import CommandLine
from tests.cli.running_service import free_port


@pytest.fixture
def empty(empty_database_url: str, tmp_path: Path) -> CommandLine:
    """The command line on a database without our schema."""
    environment = {
        "DATABASE_URL": empty_database_url,
        "GRANTLEDGER_DATA_DIR": str(tmp_path / "data"),
    }
    return CommandLine(tmp_path / "data", environment)


def test_migrate(empty: CommandLine) -> None:
    """An empty database gets every migration, and a second run changes nothing."""
    first = empty.json("migrate")
    second = empty.json("migrate")

    assert first == {"applied": [name for name, _ in MIGRATIONS], "schema": len(MIGRATIONS)}
    assert second == {"applied": [], "schema": len(MIGRATIONS)}
    assert "up to date" in empty.succeed("migrate")


def test_status_changes_nothing(empty: CommandLine) -> None:
    """`status` of a database without the schema says what to do and does not do it."""
    first = empty.succeed("status")
    second = empty.succeed("status")

    assert "run `grantledger migrate`" in first
    assert "run `grantledger migrate`" in second


def test_status(cli: CommandLine) -> None:
    """`status` counts what the log has and says that no service answers."""
    status = cli.json("status")
    table = cli.succeed("status")

    assert (status["clients"], status["principals"], status["keys"]) == (2, 1, 2)
    assert status["position"] == 8
    assert status["ready"] is False
    assert "events behind=8" in table


def test_newer_schema(cli: CommandLine, database_url: str) -> None:
    """A database that a newer version migrated is not touched: one line, exit code 2."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO grantledger.schema_migrations (number, name) VALUES (99, 'later')"
        )

    assert "run the newer version" in cli.refused("client", "list", code=2)


def test_database_away(tmp_path: Path) -> None:
    """A database that does not answer is one line without the password, and exit code 3."""
    url = f"postgresql://user:hidden@127.0.0.1:{free_port()}/grantledger"
    away = CommandLine(
        tmp_path, {"DATABASE_URL": url, "GRANTLEDGER_DATA_DIR": str(tmp_path / "data")}
    )
    line = away.refused("client", "list", code=3)

    assert "DATABASE_URL: cannot connect" in line
    assert "hidden" not in line


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"GRANTLEDGER_ISSUER": "http://auth.example"}, "GRANTLEDGER_ISSUER: Value error, must"),
        ({"GRANTLEDGER_WORKERS": "0"}, "GRANTLEDGER_WORKERS: Input should be greater"),
        ({"DATABASE_URL": "my hidden database"}, "DATABASE_URL: is not a PostgreSQL URL"),
        ({"GRANTLEDGER_MASTER_KEYS": "key"}, "GRANTLEDGER_MASTER_KEYS: must be id:base64"),
        ({"GRANTLEDGER_DATA_DIR": "/dev/null"}, "GRANTLEDGER_DATA_DIR: /dev/null: File exists"),
        ({"GRANTLEDGER_CATALOGUE_FILE": "/nowhere"}, "GRANTLEDGER_CATALOGUE_FILE: No such file"),
    ],
)
def test_wrong_settings(unchanged: CommandLine, environment: dict[str, str], line: str) -> None:
    """A wrong setting is one line that names it, and exit code 2, for every command alike."""
    wrong = CommandLine(
        unchanged.data_dir, {**unchanged.environment, **_unset(environment), **environment}
    )

    assert wrong.refused("client", "list", code=2).startswith(f"grantledger: {line}")


def _unset(environment: dict[str, str]) -> dict[str, str]:
    # DATABASE_URL counts only where its longer name is not set.
    return (
        {"GRANTLEDGER_DATABASE_URL": environment["DATABASE_URL"]}
        if "DATABASE_URL" in environment
        else {}
    )


def test_keys_of_another_deployment(cli: CommandLine) -> None:
    """With the secrets of another deployment nothing works, and the line says which key lacks."""
    (cli.data_dir / "secrets.json").unlink()
    load_secret_keys(load_settings(data_dir=cli.data_dir))

    assert "GRANTLEDGER_MASTER_KEYS: master key" in cli.refused("client", "list", code=2)


def test_unreadable_bootstrap(cli: CommandLine) -> None:
    """A damaged bootstrap.json is one line, not a traceback."""
    (cli.data_dir / "bootstrap.json").write_text("{")

    assert "bootstrap.json is unreadable" in cli.refused("status", code=2)


def test_data_dir_before_and_after_command(unchanged: CommandLine, tmp_path: Path) -> None:
    """--data-dir counts in both places, and the nearer one more than the environment."""
    other = tmp_path / "other"
    before = json.loads(unchanged.succeed("--data-dir", str(other), "status", "--json"))
    after = unchanged.json("status", "--data-dir", str(other))

    assert before["data_dir"] == after["data_dir"] == str(other)
