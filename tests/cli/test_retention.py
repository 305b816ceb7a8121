"""`grantledger retention`: from an old month to an archive and back, and what is refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from application.ledger.mapper import LedgerMapper
from application.ledger.recorder import APPEND, append_parameters
from application.ledger.schema import ensure_partitions
from tests.builders import a_token
from tests.cli.in_process import CommandLine

OLD = datetime(2025, 1, 15, 12, tzinfo=UTC)
PARTITION = "ledger_events_2025_01"
MONTHS = {"GRANTLEDGER_RETENTION_MONTHS": "12"}


@pytest.fixture
def aged(cli: CommandLine) -> CommandLine:
    """The command line with an old month that holds two tokens, recorded then."""
    url = cli.environment["GRANTLEDGER_DATABASE_URL"]
    mapper = LedgerMapper()
    facts = [fact for _ in range(2) for fact in a_token(OLD).facts()]
    with psycopg.connect(url, autocommit=True) as connection:
        ensure_partitions(connection, now=OLD)
        connection.execute(APPEND, append_parameters([mapper.to_stored_event(f) for f in facts]))
        # Recorded then: as only a superuser who turns the triggers off can pretend.
        connection.execute("SET session_replication_role = replica")
        connection.execute(f"UPDATE grantledger.{PARTITION} SET recorded_at = %s", (OLD,))
    cli.succeed("projections", "rebuild")
    return cli


def _tokens(cli: CommandLine) -> list[UUID]:
    with psycopg.connect(cli.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT originator_id FROM grantledger.ledger_events WHERE topic = 'token.issued'"
            " ORDER BY notification_id"
        ).fetchall()
    return [token for (token,) in found]


def _states(cli: CommandLine) -> dict[str, str]:
    result = cli.run("retention", "plan", "--json", **MONTHS)
    assert result.exit_code == 0, result.output
    return {row["partition"]: row["state"] for row in json.loads(result.stdout)}


def test_there_and_back(aged: CommandLine, tmp_path: Path) -> None:
    """The old month leaves, recorded by whom and why, and comes back as it was."""
    before = _tokens(aged)
    planned = _states(aged)[PARTITION]
    applied = aged.run(
        *("retention", "apply", "--out", str(tmp_path), "--drop", "--reason", "policy"), **MONTHS
    )
    gone, left = _tokens(aged), _states(aged)[PARTITION]
    refused = aged.refused("projections", "rebuild", "audit_trail", code=1)
    verified = aged.json("export-verify", str(tmp_path / "2025_01" / "audit"))
    restored = aged.json("retention", "restore", str(tmp_path / "2025_01"))
    aged.succeed("projections", "rebuild")
    with psycopg.connect(aged.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        acts = connection.execute(
            "SELECT topic, state->>'by', state->>'why' FROM grantledger.events"
            " WHERE topic LIKE 'retention.%' ORDER BY position"
        ).fetchall()

    assert applied.exit_code == 0, applied.output
    assert PARTITION in applied.stdout
    assert (planned, left, _states(aged)[PARTITION]) == ("leaves", "detached", "leaves")
    assert (len(before), gone, _tokens(aged)) == (2, [], before)
    assert "2025_01" in refused
    assert verified["problems"] == []
    assert restored == {"partition": PARTITION, "rows": 2}
    assert [topic for topic, _, _ in acts] == [
        "retention.opened",
        "retention.detached",
        "retention.restored",
    ]
    assert acts[1][1].startswith("cli:")
    assert acts[1][2] == "policy"


def test_refusals(unchanged: CommandLine, tmp_path: Path) -> None:
    """Without the setting nothing leaves; what is no archive does not come back."""
    line = unchanged.refused("retention", "apply", "--out", str(tmp_path), code=1)

    assert "GRANTLEDGER_RETENTION_MONTHS is not set" in line
    assert "kept for ever" in unchanged.run("retention", "plan").stdout


def test_no_archive(projected: CommandLine, tmp_path: Path) -> None:
    """A directory without a manifest is refused with one line."""
    assert "no archived month" in projected.run("retention", "restore", str(tmp_path)).stderr


@pytest.mark.parametrize("months", ["0", "-1", "1201", "some"])
def test_wrong_settings(unchanged: CommandLine, months: str) -> None:
    """A number of months that makes no sense is a wrong setting."""
    result = unchanged.run("retention", "plan", GRANTLEDGER_RETENTION_MONTHS=months)

    assert result.exit_code == 2
    assert "GRANTLEDGER_RETENTION_MONTHS" in result.stderr
