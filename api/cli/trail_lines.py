"""Entries of the audit trail as lines at the terminal, and how following them ends."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from api.cli.tables import shown
from projections.audit_trail import AuditEntry

COLUMNS: Mapping[str, Callable[[AuditEntry], object]] = {
    "position": lambda entry: entry.position,
    "occurred": lambda entry: entry.occurred_at,
    "topic": lambda entry: entry.topic,
    "outcome": lambda entry: entry.outcome,
    "client": lambda entry: entry.client_id,
    "subject": lambda entry: entry.subject,
    "by": lambda entry: entry.actor,
    "reason": lambda entry: entry.reason,
    "jti": lambda entry: entry.jti,
}


def table_line(entry: AuditEntry) -> str:
    """Return the columns of an entry on one line."""
    return "  ".join(shown(value(entry)) for value in COLUMNS.values())


@contextmanager
def interrupted() -> Iterator[Event]:
    """Yield an event that Ctrl-C sets instead of raising KeyboardInterrupt.

    Raised where Python ignores exceptions (a finaliser), it would be lost, and the command would go
    on for ever.
    """
    stop = Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
