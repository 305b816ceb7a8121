"""`grantledger audit ...`: read the audit trail at the terminal."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import rich_click as click

from api.cli.event_filters import told
from api.cli.options import data_dir_option, examples, json_option
from api.cli.outcomes import Refused
from api.cli.running import opened_read_models
from api.cli.tables import print_fields, print_json, print_json_line, print_rows
from api.cli.trail_lines import COLUMNS, interrupted, table_line
from projections.audit_trail import AUDIT_TRAIL, AuditEntry, of_token, search
from projections.event_filter import EventFilter

_POLL_SECONDS = 0.5
_PAGE = 1000
_MAX_LINES = 10_000


@click.group()
def audit() -> None:
    """Read the audit trail: every token, refusal and administrative act."""


@audit.command(
    epilog=examples(
        "grantledger audit tail",
        "grantledger audit tail -n 100 --topic grant.denied",
        "grantledger audit tail --follow --client demo --json | jq .jti",
    )
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, _MAX_LINES),
    default=20,
    show_default=True,
    help="How many of the newest entries",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is recorded from now on")
@click.option("--client", "client_id", help="Only what is about this client")
@click.option("--subject", help="Only what is about this subject")
@click.option("--topic", help="Only this topic, such as token.issued")
@json_option
@data_dir_option
def tail(
    *,
    lines: int,
    follow: bool,
    client_id: str | None,
    subject: str | None,
    topic: str | None,
    as_json: bool,
) -> None:
    """Show the newest entries, oldest first. --json prints one object a line."""
    which = EventFilter(client_id=client_id, subject=subject, topic=topic)
    filters = told(which.parameters())
    with opened_read_models(AUDIT_TRAIL, reads="events", filters=filters) as connection:
        newest = search(which, newest_first=True, limit=max(lines, 1)).fetch(connection)
        position = newest[0].position if newest else 0
        shown_first = newest[:lines][::-1]
        if as_json or follow:
            _print_lines(shown_first, as_json=as_json)
        else:
            print_rows(shown_first, COLUMNS, as_json=False)
        if not follow:
            return
        with interrupted() as stop:
            while not stop.is_set():
                entries = search(replace(which, after=position), limit=_PAGE).fetch(connection)
                _print_lines(entries, as_json=as_json)
                if entries:
                    position = entries[-1].position
                else:
                    stop.wait(_POLL_SECONDS)
    raise KeyboardInterrupt


@audit.command(
    epilog=examples(
        "grantledger audit show 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a",
        "grantledger audit show 1042 --json",
    )
)
@click.argument("what", metavar="JTI|POSITION")
@json_option
@data_dir_option
def show(*, what: str, as_json: bool) -> None:
    """Show everything about a token, by its jti, or one entry, by its position, in full."""
    query = _asked(what)
    with opened_read_models(AUDIT_TRAIL, reads=f"entry {what}") as connection:
        entries = query.fetch(connection)
    if not entries:
        raise Refused(f"nothing is recorded as {what}, or not projected yet")
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        print_fields({name: getattr(entry, name) for name in entry.__dataclass_fields__})
        click.echo()


def _asked(what: str) -> Any:
    if what.isdigit():
        position = int(what)
        return search(EventFilter(after=position - 1, before=position + 1))
    try:
        return of_token(UUID(what))
    except ValueError:
        raise click.UsageError("name a token by its jti, or an entry by its position") from None


def _print_lines(entries: Sequence[AuditEntry], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            print_json_line(entry)
        else:
            click.echo(table_line(entry))
