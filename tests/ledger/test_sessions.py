"""What our connections set for themselves, whatever the database's defaults are."""

import stat
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from application.ledger.link import ANSWER_SECONDS, Link
from application.ledger.recorder import open_datastore
from application.ledger.wire import Statement

SETTINGS = Statement(
    "settings",
    "SELECT current_setting('synchronous_commit'), current_setting('statement_timeout')",
)


@pytest.mark.parametrize(
    ("configured", "used"),
    [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")],
)
async def test_commits_are_synchronous(database_url: str, configured: str, used: str) -> None:
    """A laxer setting than `on` is raised to it; a stricter one of the operator stays. And no
    statement outlives the time in which its answer is awaited.
    """
    url = f"{database_url}&options=-c%20synchronous_commit%3D{configured}"
    link = Link(url, name="test")
    found = await link.fetch(SETTINGS)
    await link.drop()
    with open_datastore(url) as datastore, datastore.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        recorder = cursor.fetchone()

    assert found == [(used.encode(), f"{ANSWER_SECONDS}s".encode())]
    assert recorder == {"synchronous_commit": used}


def test_a_hanging_recorder_lets_go_of_the_lock(database_url: str) -> None:
    """A recorder that hangs inside its transaction is ended by PostgreSQL: otherwise it would hold
    the lock of all writers for good.
    """
    with open_datastore(database_url) as datastore, datastore.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        found = cursor.fetchone()

    assert found == {"idle_in_transaction_session_timeout": f"{ANSWER_SECONDS}s"}


def test_the_embedded_server_lets_in_its_own_user_only(database_url: str) -> None:
    """It asks for no password, and where the path is long its socket lies in a directory of all."""
    directory = Path(str(conninfo_to_dict(database_url)["host"]))
    (socket,) = directory.glob(".s.PGSQL.5432")

    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
