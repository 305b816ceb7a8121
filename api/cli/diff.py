"""`grantledger diff ...`: what changed between two moments, and who did it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import rich_click as click

from api.cli.event_filters import told
from api.cli.options import data_dir_option, examples, json_option
from api.cli.outcomes import Refused
from api.cli.past import asked_moment, note_as_of, opened_log
from api.cli.running import record_reading
from api.cli.tables import print_json, print_rows
from api.past_views import (
    ActView,
    DifferenceView,
    FieldChangeView,
    client_fields,
    principal_fields,
)
from domain.client import Client
from domain.principal import Principal
from domain.recorded import moment
from projections.as_of import AGO
from projections.past_changes import Render, UnusableRange, difference
from projections.query import answered

_FIELDS: Mapping[str, Callable[[FieldChangeView], object]] = {
    "field": lambda change: change.field,
    "before": lambda change: _shown(change.before),
    "after": lambda change: _shown(change.after),
    "positions": lambda change: change.positions,
}
_ACTS: Mapping[str, Callable[[ActView], object]] = {
    "position": lambda act: act.position,
    "when": lambda act: act.occurred_at,
    "act": lambda act: act.topic,
    "by": lambda act: act.by,
    "why": lambda act: act.why,
    "changed": lambda act: act.fields,
}


class _TakesMoments(click.RichCommand):
    """A command among whose arguments -90d is a moment and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `args`. What begins with a blank is no option, and moments may have blanks."""
        moments = [f" {one}" if AGO.fullmatch(one) else one for one in args]
        return list(super().parse_args(ctx, moments))


@click.group()
def diff() -> None:
    """Show what changed between two moments, field by field, by whom and why."""


@diff.command(
    cls=_TakesMoments,
    epilog=examples(
        "grantledger diff client billing-agent 2026-01-01 2026-04-01",
        "grantledger diff client billing-agent -90d",
        "grantledger diff client billing-agent 1042 -12h --json | jq '.acts'",
    ),
)
@click.argument("client_id")
@click.argument("since", metavar="T1")
@click.argument("until", metavar="[T2]", required=False)
@json_option
@data_dir_option
def client(*, client_id: str, since: str, until: str | None, as_json: bool) -> None:
    """Show what changed about a client from T1 to T2 (now where left out): times or positions."""
    found = _asked(
        Client.stream(client_id), client_fields, since, until, name=f"client {client_id}"
    )
    _print(found, f"client {client_id}", as_json=as_json)


@diff.command(
    cls=_TakesMoments,
    epilog=examples(
        "grantledger diff principal alice 2026-01-01 2026-04-01",
        "grantledger diff principal alice -30d --json",
    ),
)
@click.argument("subject")
@click.argument("since", metavar="T1")
@click.argument("until", metavar="[T2]", required=False)
@json_option
@data_dir_option
def principal(*, subject: str, since: str, until: str | None, as_json: bool) -> None:
    """Show what changed about a principal from T1 to T2 (now where left out)."""
    found = _asked(
        Principal.stream(subject), principal_fields, since, until, name=f"principal {subject}"
    )
    _print(found, f"principal {subject}", as_json=as_json)


def _asked(
    stream: UUID, render: Render, since: str, until: str | None, *, name: str
) -> DifferenceView | None:
    now = datetime.now(UTC)
    asking = difference(
        stream,
        render,
        since=asked_moment(since, now=now),
        until=None if until is None else asked_moment(until, now=now),
        now=now,
    )
    with opened_log() as (url, connection):
        try:
            found = answered(asking, connection)
            record_reading(url, f"differences of {name}", told({"since": since, "until": until}))
        except UnusableRange as error:
            raise click.UsageError(str(error)) from None
    return None if found is None else DifferenceView.of(found)


def _print(found: DifferenceView | None, name: str, *, as_json: bool) -> None:
    if found is None:
        raise Refused(f"at the second moment there was no {name}")
    _note(found, name)
    if as_json:
        print_json(found)
        return
    _table(found.fields, _FIELDS, "nothing is different")
    if found.acts:
        _table(found.acts, _ACTS, "")


def _note(found: DifferenceView, name: str) -> None:
    since, until = (
        f"position {one.position} ({moment(one.moment)})" for one in (found.since, found.until)
    )
    born = "" if found.existed else ", not there yet at the first"
    note_as_of(f"{name} from {since} to {until}{born}", now=datetime.now(UTC))


def _table(rows: Sequence[Any], columns: Mapping[str, Callable[[Any], object]], empty: str) -> None:
    print_rows(rows, columns, as_json=False, empty=empty)


def _shown(value: object) -> object:
    """Return nested lists as JSON: their parts would run into each other."""
    nested = isinstance(value, list) and any(isinstance(part, dict | list) for part in value)
    return msgspec.json.encode(value).decode() if nested else value
