"""Between commands that answer about the past and the log: what is asked, and as of when."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import rich_click as click
from psycopg import Connection

from api.cli.event_filters import told
from api.cli.options import settings_in_force
from api.cli.running import opened_database, record_reading
from domain.recorded import moment
from projections.as_of import UnreadableAsOf, parse_as_of, resolve_in_log
from projections.audit_trail import AUDIT_TRAIL
from projections.builds import ensure_tables
from projections.past import Past
from projections.query import Asking, answered
from projections.session import open_session

T = TypeVar("T")


def asked_moment(text: str, *, now: datetime) -> int | datetime:
    """Return the position or moment that was typed. Raises click.UsageError."""
    try:
        return parse_as_of(text, now=now)
    except UnreadableAsOf as error:
        raise click.UsageError(str(error)) from None


def from_past(as_of: str | None, ask: Callable[[Past], Asking[T]], *, what: str) -> T:
    """Return what `ask` leads to as of a moment, None for now, and note which that was.

    That somebody reads `what` is recorded before it is shown. Nothing is noted where nothing was
    found: the refusal has the line for itself. Raises click.UsageError, SettingsError and
    LedgerUnavailable.
    """
    now = datetime.now(UTC)
    asked = None if as_of is None else asked_moment(as_of, now=now)
    with opened_log() as (url, connection):
        point = answered(resolve_in_log(asked, now=now), connection)
        found = answered(ask(Past(point)), connection)
        record_reading(url, what, told({"as_of": as_of}))
    if found is not None:
        note_as_of(f"as of position {point.position} ({moment(point.moment)})", now=now)
    return found


def note_as_of(text: str, *, now: datetime) -> None:
    """Say on standard error what an answer is about, and when it was made."""
    click.echo(f"{text}, made {moment(now)}", err=True)


@contextmanager
def opened_log() -> Iterator[tuple[str, Connection[Any]]]:
    """Yield the URL of the database and a connection to the log.

    Raises SettingsError and LedgerUnavailable.
    """
    with (
        opened_database(settings_in_force()) as url,
        closing(open_session(url, name="cli")) as connection,
    ):
        ensure_tables(connection, (AUDIT_TRAIL,))  # which finds positions of moments
        yield url, connection
