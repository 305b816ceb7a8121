"""What a shell passes that is no text, and events that nobody can read: one line, never a trace."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.client import Client
from tests.application.people.upstream_provider import SigningKey
from tests.cli.in_process import CommandLine
from tests.cli.running_service import COMMAND, clean_environment

NO_TEXT = "half \udcff of a character"
"""As Python reads a byte of an argument that is no UTF-8."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("client", "disable", "demo", "--reason", NO_TEXT),
        ("principal", "deactivate", "owner", "--reason", NO_TEXT),
        ("client", "create", "new", "--name", NO_TEXT),
        ("issuer", "add", "https://id.example", "--subject-claim", NO_TEXT),
        ("audit", "tail", "--client", NO_TEXT),
        ("audit", "tail", "--subject", NO_TEXT),
    ],
)
def test_an_argument_that_is_no_text(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    """It is refused or finds nothing; nothing half is recorded."""
    found = cli.run(*arguments)

    assert found.exit_code in (0, 1, 2), found.output
    assert "Traceback" not in found.output
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception


def test_a_user_whose_name_is_no_text(cli: CommandLine, database_url: str) -> None:
    """Who did it is recorded escaped: a name of the system may be any bytes."""
    environment = clean_environment(**cli.environment, LOGNAME=os.fsdecode(b"a\xff"))
    subprocess.run(
        [*COMMAND, "client", "disable", "demo", "--reason", "x"],
        env=environment,
        check=True,
        capture_output=True,
    )
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT state->>'by' FROM grantledger.events WHERE topic = 'client.disabled'"
        ).fetchall()

    assert found == [(r"cli:a\udcff",)]


def test_a_key_of_numbers_beyond_all_bounds(cli: CommandLine, tmp_path: Path) -> None:
    """A file that says 1e400 or NaN is refused: the record would have `null` in its place."""
    key = json.dumps({**SigningKey.make("ES256").published, "note": "@"}).replace('"@"', "1e400")
    path = tmp_path / "keys.json"
    path.write_text(f'{{"keys": [{key}]}}')
    found = cli.run(
        "client", "create", "keyed", "--auth-method", "private_key_jwt", "--jwks", str(path)
    )

    assert found.exit_code == 1, found.output
    assert "a number that is not finite cannot be recorded" in found.stderr


@pytest.fixture
def unreadable(cli: CommandLine, database_url: str) -> CommandLine:
    """The command line on a log with an event of a client that cannot be read."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT grantledger.append_events(ARRAY[%(id)s]::uuid[], ARRAY[(SELECT 1 +"
            " max(originator_version) FROM grantledger.ledger_events WHERE originator_id ="
            " %(id)s)]::bigint[], '{client.disabled}', ARRAY['not json'::bytea])",
            {"id": Client.stream("demo")},
        )
    return cli


def test_every_command_goes_on(unreadable: CommandLine, tmp_path: Path) -> None:
    """Replay, audit, export and status show it in its place; the doctor calls it a problem."""
    trail = unreadable.succeed("audit", "tail", "--topic", "event.set_aside", "--json").splitlines()
    lines = unreadable.succeed("replay", "--format", "jsonl").splitlines()
    forms = [
        unreadable.run("replay", "--format", form)
        for form in ("sentences", "table", "ocsf", "cloudevents", "csv")
    ]
    done = unreadable.json("export", "--out", str(tmp_path / "out"))
    verified = unreadable.run("export-verify", str(tmp_path / "out"))
    status: list[dict[str, Any]] = unreadable.json("projections", "status")
    drift = unreadable.run("projections", "verify")
    doctor = unreadable.run("doctor", "--json")
    findings = {one["check"]: one for one in json.loads(doctor.stdout)}

    assert [json.loads(one)["detail"]["topic"] for one in trail] == ["client.disabled"]
    assert sum(json.loads(line)["topic"] == "event.set_aside" for line in lines) == 1
    assert {one.exit_code for one in forms} == {0}, [one.output for one in forms]
    assert done
    assert verified.exit_code == 0, verified.output
    assert {one["projection"]: one["set_aside"] for one in status}["audit_trail"] == 1
    assert drift.exit_code == 0, drift.output
    assert findings["set aside events"]["level"] == "problem"
    assert findings["unreadable streams"]["level"] == "problem"
    assert unreadable.run("client", "show", "administration").exit_code == 0
    assert unreadable.run("client", "show", "demo").exit_code == 1
