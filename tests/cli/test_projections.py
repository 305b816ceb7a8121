"""`grantledger projections ...`: status, rebuild and drift check, and the process that builds."""

import os
import signal
import subprocess
import sys

import psycopg
import pytest

from tests.cli.in_process import CommandLine
from tests.cli.running_service import COMMAND, clean_environment
from tests.waiting import eventually

NAMES = ["audit_trail", "client_last_used", "sessions", "delegations", "forged_tokens"]


def test_status(cli: CommandLine) -> None:
    """Each read model is listed with what it lacks."""
    listed = cli.json("projections", "status")

    assert [one["projection"] for one in listed] == NAMES
    assert listed[0]["head"] == 8
    assert "lag, events" in cli.succeed("projections", "status")


def test_rebuild_and_verify(cli: CommandLine) -> None:
    """A rebuild brings every read model to the head of the log, and the drift check is clean."""
    cli.succeed("projections", "rebuild", "audit_trail")
    rebuilt = cli.json("projections", "rebuild")
    cli.succeed("projections", "verify")

    assert [one["projection"] for one in rebuilt] == NAMES
    assert rebuilt[0]["position"] == 8


def test_drift_ends_with_exit_code_1(cli: CommandLine, database_url: str) -> None:
    """A row that the log does not account for is reported, and the exit code is 1."""
    cli.succeed("projections", "rebuild")
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM read.audit_trail WHERE position = 2")
    result = cli.run("projections", "verify", "audit_trail")

    assert result.exit_code == 1
    assert "missing: 2" in result.stdout


def test_unknown_projection(unchanged: CommandLine) -> None:
    """A projection that there is not is wrong usage."""
    assert unchanged.run("projections", "rebuild", "everything").exit_code == 2


def test_rebuild_while_another_runs(cli: CommandLine, database_url: str) -> None:
    """A rebuild beside another one is refused with one line."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_advisory_lock(hashtextextended('grantledger maintenance of audit_trail', 0))"
        )
        line = cli.refused("projections", "rebuild", "audit_trail", code=1)

    assert "audit_trail is being rebuilt or verified by another process" in line


def _lag(cli: CommandLine) -> int:
    return sum(one["head"] - one["position"] for one in cli.json("projections", "status"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_until_told(cli: CommandLine, number: signal.Signals) -> None:
    """`run` builds the read models until it is told to stop, and ends with 0."""
    process = subprocess.Popen(
        [*COMMAND, "projections", "run"],
        start_new_session=True,
        env=clean_environment(**cli.environment, GRANTLEDGER_LOG_LEVEL="error"),
    )
    try:
        eventually(lambda: _lag(cli) == 0, seconds=20)
    finally:
        process.send_signal(number)

    assert process.wait(10) == 0


def test_run_ends_with_its_parent(cli: CommandLine) -> None:
    """What `serve` starts ends by itself when that process is gone, however that died."""
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([*sys.argv[1:], str(os.getpid())])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, "-m", "api.projector"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(**cli.environment, GRANTLEDGER_LOG_LEVEL="error"),
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    eventually(lambda: _lag(cli) == 0, seconds=20)
    parent.kill()
    parent.communicate()

    eventually(lambda: not _lives(child), seconds=10)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
