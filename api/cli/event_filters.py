"""The options by which auditors narrow the audit trail, and the filter they make."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import rich_click as click

from api.cli.boundary import BOUNDARY, Boundary
from application.audit_reading import as_query
from projections.audit_trail import FAILURE, OUTCOMES, SET_ASIDE, SUCCESS
from projections.event_filter import EventFilter

Command = TypeVar("Command")

_TOPICS = sorted({*OUTCOMES, SET_ASIDE})
_OPTIONS = (
    click.option("--type", "topic", type=click.Choice(_TOPICS), metavar="TOPIC",
                 help="Only this kind of event, such as token.issued"),
    click.option("--client", "client_id", metavar="ID", help="Only what is about this client"),
    click.option("--subject", metavar="SUB", help="Only what is about this person or machine"),
    click.option("--actor", metavar="NAME", help="Only what it did, or acted in for others"),
    click.option("--jti", type=click.UUID, metavar="JTI", help="Only what is about this token"),
    click.option("--family", "family_id", metavar="ID", help="Only this family of refresh tokens"),
    click.option("--session", "session_id", metavar="ID", help="Only this session"),
    click.option("--grant-type", metavar="TYPE", help="Only this grant type"),
    click.option("--outcome", type=click.Choice([SUCCESS, FAILURE]), help="Only this outcome"),
    click.option("--address", metavar="ADDRESS", help="Only from this address, as it is recorded"),
    click.option("--from", "first", type=Boundary(), metavar=BOUNDARY, help="From then on"),
    click.option("--to", "last", type=Boundary(), metavar=BOUNDARY,
                 help="Up to then: a position inclusive, a moment exclusive"),
    click.option("--after", type=click.IntRange(0), metavar="POSITION",
                 help="Go on after this position: the cursor"),
)  # fmt: skip
_NAMES = (
    *("topic", "client_id", "subject", "actor", "jti", "family_id", "session_id", "grant_type"),
    *("outcome", "address", "after"),
)


def filter_options(command: Command) -> Command:
    """Add an option for each filter; `which` makes an EventFilter of what was given."""
    for option in reversed(_OPTIONS):
        command = option(command)  # type: ignore[type-var]
    return command


def which(options: dict[str, Any]) -> EventFilter:
    """Take the filters out of `options` and return them as one. Raises UsageError."""
    given = {name: options.pop(name) for name in _NAMES}
    first, last = options.pop("first"), options.pop("last")
    if isinstance(first, datetime):
        given["since"] = first
    elif first is not None:
        given["after"] = max(first - 1, given["after"] or 0)
    if isinstance(last, datetime):
        given["until"] = last
    elif last is not None:
        given["before"] = last + 1
    return EventFilter(**given)


def told(filters: Mapping[str, Any]) -> str:
    """Return the filters as a query string, for the record of who read what."""
    return as_query((name, value) for name, value in filters.items() if value is not None)
