"""`grantledger replay`: the record once more, in every format, narrowed by anything."""

import csv
import io
import json
import os
import signal
import subprocess
from typing import Any
from uuid import uuid4

import pytest

from tests.cli.in_process import CommandLine
from tests.cli.running_service import COMMAND, clean_environment

TO = ("--to", "8")
"""What the first run recorded; each reading adds to the log."""


def _lines(cli: CommandLine, *arguments: str) -> list[Any]:
    return [
        json.loads(line)
        for line in cli.succeed("replay", *TO, "--format", "jsonl", *arguments).splitlines()
    ]


def test_sentences(projected: CommandLine) -> None:
    """By default a line an event: position, moment and what happened."""
    lines = projected.succeed("replay", *TO).splitlines()

    assert [line.split()[0] for line in lines] == [str(number) for number in range(1, 9)]
    assert any("lient demo" in line and "registered" in line for line in lines)


def test_json_lines_are_what_the_trail_says(projected: CommandLine) -> None:
    """The object is that of the audit trail, column by column."""
    lines = _lines(projected)
    shown = [projected.json("audit", "show", str(number))[0] for number in (1, 3)]

    assert [line["position"] for line in lines] == list(range(1, 9))
    for one in shown:
        (line,) = [line for line in lines if line["position"] == one["position"]]
        assert line.keys() == one.keys()
        assert {name: line[name] for name in line if not name.endswith("_at")} == {
            name: one[name] for name in one if not name.endswith("_at")
        }
        assert "verifier" not in json.dumps(line)


@pytest.mark.parametrize(
    ("arguments", "positions"),
    [
        (("--client", "demo"), "client_id"),
        (("--type", "client.registered"), "topic"),
        (("--actor", "system"), "actor"),
        (("--outcome", "success", "--after", "6"), "outcome"),
    ],
)
def test_filters(projected: CommandLine, arguments: tuple[str, ...], positions: str) -> None:
    """Each line fits, and all that fit are there."""
    wanted = arguments[1]
    fitting = [
        line["position"]
        for line in _lines(projected)
        if line[positions] == wanted and ("--after" not in arguments or line["position"] > 6)
    ]

    assert [line["position"] for line in _lines(projected, *arguments)] == fitting
    assert fitting


def test_nothing_fits(projected: CommandLine) -> None:
    """No line and no error, for every kind of filter."""
    for arguments in (
        ("--jti", str(uuid4())),
        ("--family", "none"),
        ("--session", "none"),
        ("--subject", "nobody"),
        ("--grant-type", "none"),
        ("--address", "nowhere"),
        ("--outcome", "failure"),
        ("--from", "9999-01-01"),
        ("--from=-1s", "--type", "key.generated"),
    ):
        assert _lines(projected, *arguments) == []


def test_ranges(projected: CommandLine) -> None:
    """Positions are inclusive, the cursor is not; a moment counts from its first instant."""
    replayed = projected.succeed("replay", "--from", "3", "--to", "5").splitlines()
    after = projected.succeed("replay", "--after", "3", "--to", "5").splitlines()

    assert [line.split()[0] for line in replayed] == ["3", "4", "5"]
    assert [line.split()[0] for line in after] == ["4", "5"]
    assert projected.succeed("replay", "--to", "2020-01-01") == ""


def test_csv(projected: CommandLine) -> None:
    """A heading, then a row an event."""
    text = projected.succeed("replay", *TO, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))

    assert [row["position"] for row in rows] == [str(number) for number in range(1, 9)]
    assert rows[2]["topic"] == "client.secret_added"


def test_table(projected: CommandLine) -> None:
    """What `audit tail` shows."""
    assert "client.registered" in projected.succeed("replay", *TO, "--format", "table")


def test_cloud_events(projected: CommandLine) -> None:
    """The source is the issuer, the id the position."""
    lines = projected.succeed("replay", *TO, "--format", "cloudevents").splitlines()
    event = json.loads(lines[0])

    assert (event["specversion"], event["id"], event["source"]) == (
        *("1.0", "1", "http://127.0.0.1:8000"),
    )


def test_ocsf(projected: CommandLine) -> None:
    """One object an event, told in words as well."""
    lines = projected.succeed("replay", *TO, "--format", "ocsf").splitlines()
    events = [json.loads(line) for line in lines]

    assert {event["class_uid"] for event in events} == {3004}
    assert all(event["message"].endswith(".") for event in events)


@pytest.mark.parametrize(
    "arguments",
    [("--from", "yesterday"), ("--type", "no.topic"), ("--jti", "x"), ("--format", "xml")],
)
def test_wrong_usage(projected: CommandLine, arguments: tuple[str, str]) -> None:
    """What is no filter is refused with what would be one."""
    assert projected.run("replay", *arguments).exit_code == 2


def test_a_reader_that_has_enough_ends_it(cli: CommandLine) -> None:
    """`| head` closes the pipe: no complaint."""
    command = " ".join([*COMMAND, "replay", "--format", "sentences"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -n 1"],
        capture_output=True,
        text=True,
        env=clean_environment(**cli.environment),
        check=False,
    )

    assert done.stdout.startswith("1 ")
    assert done.stderr == ""
    assert done.returncode == 0


def test_follow(cli: CommandLine) -> None:
    """What is recorded later comes as well, each event once, until Ctrl-C."""
    following = subprocess.Popen(
        [*COMMAND, "replay", "--type", "client.disabled", "--follow", "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=clean_environment(**cli.environment),
    )
    assert following.stdout is not None
    try:
        cli.succeed("client", "disable", "demo")
        cli.succeed("audit", "tail")  # brings the read model up to date
        first = json.loads(following.stdout.readline())
    finally:
        os.killpg(following.pid, signal.SIGINT)
        rest, errors = following.communicate(timeout=10)

    assert (first["topic"], first["client_id"]) == ("client.disabled", "demo")
    assert (following.returncode, rest, errors) == (130, "", "")
