"""A few of the faults for a moment, and proof that the verification would find what is wrong.

`make faults` plays all of them.
"""

from pathlib import Path

import psycopg
import pytest

from tests.benchmarks.connection import Response
from tests.faults import connections, database  # noqa: F401  # they add themselves to FAULTS
from tests.faults.books import Books
from tests.faults.fault import FAULTS
from tests.faults.playing import play
from tests.faults.stage import Stage, a_stage
from tests.faults.verification import problems
from tests.postgres import Postgres

PLAYED = ("commits-cut", "backends-killed")


async def test_nothing_is_lost_and_a_loss_is_found(
    second_postgres: Postgres, tmp_path: Path
) -> None:
    """Clients hold what the log has, through lost answers and a crash of PostgreSQL; and where
    somebody takes one token out of the log, each of the checks that it concerns says so.
    """
    async with a_stage(tmp_path, second_postgres, seconds=1.5) as stage:
        outcomes = [await play(FAULTS[name], stage) for name in PLAYED]
        # The service would write on.
        stage.service.kill()
        lost = _take_a_token_out(stage)
        found = problems(stage.url, stage.crowd.books.held.values(), stage.follower.positions)

    assert [one.problems for one in outcomes] == [()] * len(PLAYED)
    assert all(one.held > 50 for one in outcomes)
    assert [line for line in found if lost in line] == [f"1 tokens are not in the log, as {lost}"]
    for expected in (
        "1 events without their unit's fellows",
        "1 positions are missing in the log",
        "positions in order",
        "audit_trail is not what a replay makes of the log",
    ):
        assert any(expected in line for line in found), (expected, found)


def _take_a_token_out(stage: Stage) -> str:
    held = [one for one in stage.crowd.books.held.values() if one.claims["client_id"] != "demo"]
    person = next(one for one in held if one.claims["sub"] == "pat")
    with psycopg.connect(stage.url) as connection:
        connection.execute("SET session_replication_role = replica")  # the log forbids it
        connection.execute(
            "DELETE FROM grantledger.ledger_events WHERE originator_id = %s", (person.jti,)
        )
    return person.jti


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, "temporarily_unavailable"),
        ({"retry-after": "0"}, "temporarily_unavailable"),
        ({"retry-after": "1"}, "server_error"),
    ],
)
def test_a_503_has_to_say_when_to_come_back(headers: dict[str, str], error: str) -> None:
    """A refusal that does not tell when to try again is a wrong answer."""
    books = Books()
    books.count("machine 0", Response(503, headers, {"error": error}))

    assert len(books.wrong) == 1


def test_a_good_503_is_no_complaint() -> None:
    """Nor is it an answer that serves anybody."""
    books = Books()
    books.count("machine 0", Response(503, {"retry-after": "1"}, _AWAY))

    assert (books.wrong, books.succeeded, books.answers["503"]) == ([], {}, 1)


_AWAY = {"error": "temporarily_unavailable"}
