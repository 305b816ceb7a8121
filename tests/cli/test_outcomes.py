"""How commands end: what a person can act on is one line, what is our fault is not hidden."""

import psycopg
import pytest

from api.cli.outcomes import AWAY, REFUSED, USAGE, outcome
from application.errors import NotFound, TemporarilyUnavailable
from application.ledger.errors import LedgerUnavailable, UnitRejected
from application.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NotFound("no such client: x"), REFUSED, "no such client: x"),
        (UnitRejected("the store refuses the unit"), REFUSED, "the store refuses the unit"),
        (SettingsError("GRANTLEDGER_PORT: wrong"), USAGE, "GRANTLEDGER_PORT: wrong"),
        (
            UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
            USAGE,
            "an argument is no text in UTF-8",
        ),
        (LedgerUnavailable("no connection"), AWAY, "no connection"),
        (psycopg.OperationalError("gone\nfar away"), AWAY, "the database is away: gone"),
        (
            TemporarilyUnavailable(reason="no active key"),
            AWAY,
            "the service cannot record at the moment; try again",
        ),
    ],
)
def test_what_a_person_can_act_on(error: Exception, code: int, line: str) -> None:
    """Each kind of failure has its exit code and one line."""
    assert outcome(error) == (code, line)


def test_fault_of_ours_keeps_its_traceback() -> None:
    """An error that nobody foresaw is not dressed up as a refusal."""
    assert outcome(KeyError("projection")) is None
