"""`grantledger session ...`: whose logins there are, and ending one."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from application.ledger.ledger import Ledger
from domain.provenance import Origin, Provenance
from domain.session import Session
from projections import sessions
from tests.builders import stream_id
from tests.cli.in_process import CommandLine


def a_login(database_url: str, subject: str, *, seconds_ago: int = 0) -> str:
    """Record a session, of now unless told otherwise, and return its name."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    session = Session.start(
        stream_id(moment),
        subject=subject,
        methods=("pwd",),
        lifetime=timedelta(hours=1),
        origin=Origin(address="address", user_agent="agent"),
        provenance=Provenance(moment, "req_1"),
    )

    async def record() -> None:
        async with Ledger(database_url) as ledger:
            await ledger.save(session)

    asyncio.run(record())
    return session.session_id


def test_sessions_are_listed_and_ended(cli: CommandLine, database_url: str) -> None:
    """A session is in its person's list until it is ended, and in `--all` after that."""
    session_id = a_login(database_url, "dora")
    cli.succeed("projections", "rebuild", "sessions")
    before = cli.json("session", "list", "dora")
    elsewhere = cli.json("session", "list", "somebody-else")
    ended = cli.json("session", "end", session_id, "--reason", "lost laptop")
    cli.succeed("projections", "rebuild", "sessions")
    after = cli.json("session", "list", "dora")
    everything = cli.json("session", "list", "dora", "--all")
    shown = cli.json("session", "show", session_id)

    assert [one["id"] for one in before] == [session_id]
    assert (elsewhere, after) == ([], [])
    assert (ended["subject"], ended["state"]) == ("dora", "ended")
    assert [one["id"] for one in everything] == [session_id]
    assert shown[0]["ended_by"].startswith("cli:")


def test_sessions_are_listed_in_pages(
    cli: CommandLine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full page is told to be one, with how to go on; the last is not."""
    first = a_login(database_url, "dora", seconds_ago=10)
    second = a_login(database_url, "dora")
    cli.succeed("projections", "rebuild", "sessions")
    older = cli.json("session", "list", "dora", "--before", second)
    monkeypatch.setattr(sessions, "PAGE", 2)
    full = cli.run("session", "list", "dora").stderr
    rest = cli.run("session", "list", "dora", "--before", second).stderr

    assert [one["id"] for one in older] == [first]
    assert f"go on with --before {first}" in full
    assert not rest


def test_sessions_that_do_not_exist(cli: CommandLine) -> None:
    """Names of nothing, well formed or not, are refused in one line."""
    cli.succeed("projections", "rebuild", "sessions")
    for name in ("sess_" + "0" * 32, "nonsense"):
        for command in ("show", "end"):
            said = cli.refused("session", command, name, code=1)
            assert f"no such session: {name}" in said
