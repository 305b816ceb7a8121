"""How a command ends: one line on standard error and an exit code a script can act on.

| code | meaning                                                        |
|------|----------------------------------------------------------------|
| 0    | done                                                           |
| 1    | refused: a rule, the present state or a check says no          |
| 2    | wrong usage or a wrong setting; nothing was tried              |
| 3    | the database or the service is away; trying again may help     |
| 130  | interrupted by Ctrl-C (143: by SIGTERM)                        |
"""

import psycopg
from pydantic import ValidationError

from application.errors import OAuthError, TemporarilyUnavailable
from application.ledger.errors import LedgerUnavailable, UnitRejected
from application.secret_keys import MasterKeyMismatch
from application.settings import SettingsError
from projections.retention.months import MonthsDetached
from projections.session import MaintenanceRunning

REFUSED = 1
USAGE = 2
AWAY = 3
INTERRUPTED = 130
TERMINATED = 143


class Refused(Exception):
    """The command line itself says no; the message is one line."""


class ServiceAway(Exception):
    """No service answers where one was expected; the message is one line."""


def outcome(error: Exception) -> tuple[int, str] | None:
    """Return exit code and line of a failure a person can act on, None for a fault of ours."""
    code = next((code for kinds, code in _CODES if isinstance(error, kinds)), None)
    return None if code is None else (code, _line(error))


_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    # Before OAuthError, which the first of these is too.
    ((TemporarilyUnavailable, LedgerUnavailable, ServiceAway, psycopg.OperationalError), AWAY),
    ((OAuthError, Refused, MaintenanceRunning, MonthsDetached, UnitRejected), REFUSED),
    ((SettingsError, MasterKeyMismatch, ValidationError, UnicodeEncodeError), USAGE),
)


def _line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return _first_problem(error)
    if isinstance(error, MasterKeyMismatch):
        return f"GRANTLEDGER_MASTER_KEYS: {error}"
    if isinstance(error, UnicodeEncodeError):  # bytes of the shell, on their way to PostgreSQL
        return "an argument is no text in UTF-8"
    first = str(error).strip().split("\n")[0]
    return f"the database is away: {first}" if isinstance(error, psycopg.Error) else first


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
