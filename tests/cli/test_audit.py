"""`grantledger audit ...` shows the audit trail, and says where it is behind the log."""

import json
import os
import signal
import subprocess
from contextlib import closing
from threading import Event, Thread

import pytest

from projections.audit_trail import AUDIT_TRAIL
from projections.runner import Projector
from projections.session import open_session, take_leadership
from tests.cli.in_process import CommandLine
from tests.cli.running_service import COMMAND, clean_environment

EVENTS_OF_FIRST_RUN = 8


def test_tail(projected: CommandLine) -> None:
    """The newest entries are shown, oldest first, as a table; that they are read is one of them."""
    table = projected.succeed("audit", "tail", "-n", "1")
    everything = projected.succeed("audit", "tail", "-n", "1000")

    assert "audit.read" in table
    assert "client.registered" not in table
    assert everything.index("key.generated") < everything.index("key.activated")


def test_tail_filters(projected: CommandLine) -> None:
    """Client, subject and topic narrow the entries; JSON comes one object a line."""
    lines = projected.succeed(
        *("audit", "tail", "--client", "demo", "--topic", "client.registered", "--json")
    ).splitlines()

    (entry,) = [json.loads(line) for line in lines]
    assert (entry["client_id"], entry["topic"]) == ("demo", "client.registered")
    assert projected.succeed("audit", "tail", "--subject", "nobody") == ""


def test_show_by_position(projected: CommandLine) -> None:
    """One entry is shown in full by its position, verifiers of secrets left out."""
    (entry,) = projected.json("audit", "show", "3")

    assert entry["topic"] == "client.secret_added"
    assert "verifier" not in json.dumps(entry)
    assert "client.secret_added" in projected.succeed("audit", "show", "3")


@pytest.mark.parametrize("what", ["0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a", "100000"])
def test_show_nothing(projected: CommandLine, what: str) -> None:
    """A token or a position that is not there is refused with one line."""
    assert f"nothing is recorded as {what}" in projected.refused("audit", "show", what, code=1)


def test_show_something_else(projected: CommandLine) -> None:
    """What is neither a jti nor a position is wrong usage."""
    assert projected.run("audit", "show", "yesterday").exit_code == 2


def test_commands_bring_the_read_model_up_to_date(cli: CommandLine) -> None:
    """Where no service does, a command does it itself: what it shows is not of yesterday."""
    result = cli.run("audit", "tail")

    assert result.exit_code == 0
    assert "client.registered" in result.stdout
    assert result.stderr == ""


def test_lag_is_said(cli: CommandLine, database_url: str) -> None:
    """Where another leads and is behind, a note says by how much, and the exit code is 0."""
    with closing(open_session(database_url, name="test")) as leader:
        assert take_leadership(leader, AUDIT_TRAIL.name)
        result = cli.run("audit", "tail")

    assert result.exit_code == 0
    assert f"the read models are {EVENTS_OF_FIRST_RUN + 2} events behind" in result.stderr


def test_follow_until_ctrl_c(cli: CommandLine, database_url: str) -> None:
    """--follow prints what is recorded from then on, and Ctrl-C ends it quietly with 130."""
    cli.succeed("projections", "rebuild", "audit_trail")
    following = subprocess.Popen(
        [*COMMAND, "audit", "tail", "-n", "1", "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=clean_environment(**cli.environment),
    )
    assert following.stdout is not None
    stop = Event()
    projector = Thread(target=Projector(database_url, [AUDIT_TRAIL]).run, args=(stop,))
    projector.start()
    try:
        first = json.loads(following.stdout.readline())
        cli.succeed("client", "disable", "demo")
        second = json.loads(following.stdout.readline())
    finally:
        stop.set()
        projector.join()
        os.killpg(following.pid, signal.SIGINT)
        _, errors = following.communicate(timeout=10)

    # That it is read is two events, the last of them.
    assert (first["position"], first["topic"]) == (EVENTS_OF_FIRST_RUN + 2, "audit.read")
    assert second["topic"] == "client.disabled"
    assert (following.returncode, errors) == (130, "")


def test_reads_of_the_directory_are_recorded(cli: CommandLine) -> None:
    """Who lists or shows clients, people or sessions is in the audit trail, and what they asked."""
    cli.json("client", "list")
    cli.succeed("client", "show", "demo")
    cli.json("principal", "list")
    cli.succeed("principal", "show", "owner")
    cli.run("session", "list", "owner", "--all")
    told = cli.succeed("replay", "--type", "audit.read")

    for what in ("clients", "client demo", "principals", "principal owner", "sessions"):
        assert f" read {what} " in told
    assert "subject=owner" in told
