"""`grantledger doctor`: each thing that can be wrong is found, told, and comes with what to do."""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.doctor import database, log, machine, secrets
from api.first_run import BOOTSTRAP_FILE
from application.ledger.schema import month_partition
from application.secrets_file import SECRETS_FILE, load_secret_keys
from application.settings import load_settings
from tests.cli.in_process import CommandLine


@dataclass(frozen=True)
class Examined:
    """What the doctor said."""

    exit_code: int
    findings: dict[str, dict[str, Any]]

    def level(self, check: str) -> str:
        """Return how bad a check found things."""
        level: str = self.findings[check]["level"]
        return level

    @property
    def bad(self) -> dict[str, str]:
        """What is not ok, by check: how bad it is."""
        return {check: one["level"] for check, one in self.findings.items() if one["level"] != "ok"}


def examined(cli: CommandLine, **environment: str) -> Examined:
    """Return what the doctor says."""
    result = cli.run("doctor", "--json", **environment)
    found = {one["check"]: one for one in json.loads(result.stdout)}
    return Examined(result.exit_code, found)


def test_after_a_first_run(cli: CommandLine) -> None:
    """Nothing is wrong but that nothing runs; whatever is not ok comes with what to do."""
    cli.succeed("projections", "rebuild")
    found = examined(cli)

    assert found.exit_code == 0
    assert found.bad == {"service": "warning"}
    assert all(bool(one["fix"]) == (one["level"] != "ok") for one in found.findings.values())
    assert {"clock", "fsync", "partitions", "signing key ES256", "peppers"} <= set(found.findings)


def test_the_worst_comes_first(cli: CommandLine) -> None:
    """A person reads problems, then warnings, then what is well."""
    (cli.data_dir / SECRETS_FILE).chmod(0o644)
    levels = [one["level"] for one in json.loads(cli.run("doctor", "--json").stdout)]

    assert levels == sorted(levels, key=["problem", "warning", "ok"].index)
    assert levels[0] == "problem"
    assert "chmod 600" in cli.run("doctor").stdout


def test_changes_nothing(cli: CommandLine, database_url: str) -> None:
    """Neither the log nor the files are other than before."""
    before = _state(cli, database_url)
    examined(cli)

    assert _state(cli, database_url) == before


def test_database_away(unchanged: CommandLine) -> None:
    """A database that does not answer is a finding and no failure."""
    found = examined(unchanged, GRANTLEDGER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert found.exit_code == 1
    assert found.level("database") == "problem"


def test_nothing_was_set_up(tmp_path: Path) -> None:
    """Where there is nothing yet, nothing is made."""
    empty = CommandLine(tmp_path / "data", {"GRANTLEDGER_DATA_DIR": str(tmp_path / "data")})
    found = examined(empty)

    assert found.exit_code == 1
    assert "grantledger serve" in found.findings["database"]["fix"]
    assert not list((tmp_path / "data").iterdir())


def test_schema_of_an_older_version(empty_database_url: str, tmp_path: Path) -> None:
    """A database without the schema is to be migrated; nothing else is asked of it."""
    environment = {
        "DATABASE_URL": empty_database_url,
        "GRANTLEDGER_DATA_DIR": str(tmp_path / "data"),
    }
    found = examined(CommandLine(tmp_path / "data", environment))

    assert found.level("schema") == "problem"
    assert "partitions" not in found.findings


def _open_to_others(cli: CommandLine, _: str) -> None:
    (cli.data_dir / SECRETS_FILE).chmod(0o640)


def _bootstrap_open_to_others(cli: CommandLine, _: str) -> None:
    (cli.data_dir / BOOTSTRAP_FILE).chmod(0o604)


def _without_secrets(cli: CommandLine, _: str) -> None:
    (cli.data_dir / SECRETS_FILE).unlink()


def _unreadable_secrets(cli: CommandLine, _: str) -> None:
    (cli.data_dir / SECRETS_FILE).write_text("{}")


def _month_gone(_: CommandLine, url: str) -> None:
    name = month_partition(datetime.now(UTC), 1)[0]
    with psycopg.connect(url) as connection:
        connection.execute(f"DROP TABLE grantledger.{name}".encode())


@pytest.mark.parametrize(
    ("harm", "check", "level"),
    [
        pytest.param(_open_to_others, SECRETS_FILE, "problem", id="secrets are readable"),
        pytest.param(_bootstrap_open_to_others, BOOTSTRAP_FILE, "problem", id="bootstrap is"),
        pytest.param(_without_secrets, "secrets", "problem", id="no secrets"),
        pytest.param(_unreadable_secrets, "secrets", "problem", id="unreadable secrets"),
        pytest.param(_month_gone, "partitions", "problem", id="no partition ahead"),
    ],
)
def test_finds(
    cli: CommandLine,
    database_url: str,
    harm: Callable[[CommandLine, str], None],
    check: str,
    level: str,
) -> None:
    """What was harmed is told by name."""
    harm(cli, database_url)
    found = examined(cli)

    assert found.level(check) == level
    assert found.exit_code == 1


def test_private_keys_that_are_gone(cli: CommandLine, database_url: str) -> None:
    """Each key without its private half is told by its kid."""
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM grantledger.wrapped_keys")
    bad = examined(cli).bad

    assert sum(check.startswith("private key ") for check in bad) == 2


def test_other_secrets_than_the_database_was_used_with(cli: CommandLine, tmp_path: Path) -> None:
    """Neither keys nor client secrets are usable: told as master key and as pepper."""
    other = tmp_path / "other"
    other.mkdir()
    load_secret_keys(load_settings(data_dir=other))  # makes them
    found = examined(cli, GRANTLEDGER_DATA_DIR=str(other))

    assert {check.split()[0] for check in found.bad if found.level(check) == "problem"} == {
        "private",
        "pepper",
    }


def test_passwords_need_their_pepper_too(cli: CommandLine, database_url: str) -> None:
    """A pepper that only people's passwords were hashed under is not one that may go."""
    assert examined(cli).level("peppers") == "ok"
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO grantledger.passwords VALUES ('pat', 'x', 'gone', now())")
    found = examined(cli)

    assert found.level("pepper gone") == "problem"
    assert "0 client secrets and 1 passwords" in found.findings["pepper gone"]["found"]


def test_something_else_answers_at_the_issuer(unchanged: CommandLine) -> None:
    """What does not even speak HTTP is no service that is ready, and no reason to stop looking."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"220 smtp.example\r\n")

        threading.Thread(target=answer, daemon=True).start()
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        found = examined(unchanged, GRANTLEDGER_ISSUER=issuer)

    assert found.level("service") == "warning"
    assert found.level("database role") == "ok"


def test_first_secrets_of_a_public_service(unchanged: CommandLine) -> None:
    """Those of a service that others reach should be gone; on this machine alone they may stay."""
    public = examined(unchanged, GRANTLEDGER_ISSUER="https://auth.example")

    assert public.level("first secrets") == "warning"
    assert examined(unchanged).level("first secrets") == "ok"


def test_read_models_behind(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read model that lags for long is told, and one that was never made."""
    assert examined(cli).level("read model audit_trail") == "warning"
    cli.succeed("projections", "rebuild")
    monkeypatch.setattr(log, "LAG_SECONDS", -1.0)

    assert examined(cli).level("read model audit_trail") == "warning"


@pytest.mark.parametrize(
    ("module", "limit", "value", "check"),
    [
        (database, "OLDEST_VERSION", 99, "database version"),
        (database, "CROWDED", 0.0, "connections"),
        (database, "OLD_TRANSACTIONS", 0, "transaction ids"),
        (machine, "FREE_BYTES", 2**62, "disk"),
        (secrets, "KEY_AGE", timedelta(0), "signing key ES256"),
    ],
)
def test_beyond_a_limit(
    unchanged: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    limit: str,
    value: object,
    check: str,
) -> None:
    """What is beyond its limit is told: the same deployment, with a limit that it exceeds."""
    assert examined(unchanged).level(check) == "ok"
    monkeypatch.setattr(module, limit, value)

    assert examined(unchanged).level(check) != "ok"


def test_commits_that_are_not_durable(cli: CommandLine, database_url: str) -> None:
    """A database whose commits return before they are on disk is told."""
    assert examined(cli).level("synchronous_commit") == "ok"
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())

    assert examined(cli).level("synchronous_commit") == "warning"


def _state(cli: CommandLine, url: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        events = connection.execute("SELECT count(*) FROM grantledger.ledger_events").fetchone()
    files = sorted((path.name, path.read_bytes()) for path in cli.data_dir.iterdir())
    return events, files
