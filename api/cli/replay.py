"""`grantledger replay`: the record once more, event by event, for people and for programs."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from threading import Event
from typing import Any

import psycopg
import rich_click as click
from pydantic_core import to_json

from api.cli.event_filters import filter_options, told, which
from api.cli.options import data_dir_option, examples, settings_in_force
from api.cli.progress import waiting
from api.cli.running import opened_trail
from api.cli.tables import at_terminal, shown
from api.cli.trail_lines import interrupted, table_line
from api.report_formats import cell, csv_line
from domain.visible_text import escaped_json
from projections.audit_trail import AUDIT_TRAIL, AuditEntry, last_position
from projections.cloud_events import cloud_event
from projections.event_filter import EventFilter
from projections.ocsf import ocsf_event
from projections.replay import entries, json_lines
from projections.sentences import sentence

POLL_SECONDS = 0.5
SENTENCES, TABLE, JSONL, CSV = "sentences", "table", "jsonl", "csv"
OCSF, CLOUDEVENTS = "ocsf", "cloudevents"


@click.command(
    epilog=examples(
        "grantledger replay --client demo --from=-1d",
        "grantledger replay --type grant.denied --follow",
        "grantledger replay --format jsonl > events.jsonl",
        "grantledger replay --format ocsf --after 1042 --to 2026-04-01",
    )
)
@filter_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what is recorded from now on")
@click.option(
    "--format",
    "form",
    type=click.Choice([SENTENCES, TABLE, JSONL, CSV, OCSF, CLOUDEVENTS]),
    default=SENTENCES,
    show_default=True,
    help="A sentence an event, or for programs: JSON lines, CSV, OCSF 1.8, CloudEvents 1.0",
)
@data_dir_option
def replay(*, follow: bool, form: str, **options: Any) -> None:
    """Replay the record in its order: everything, or what fits all filters given.

    Go on later with --after and the last position seen. Ctrl-C ends --follow.
    """
    asked = which(options)
    reads = told({**asked.parameters(), "format": form})
    with opened_trail(AUDIT_TRAIL, reads="events", filters=reads) as (url, connection):
        write = _json_writer(url) if form == JSONL else _entry_writer(form)
        with _quiet_where_nobody_reads(), interrupted() as stop:
            position = write(connection, asked, stop)
            while follow and not stop.is_set():
                stop.wait(POLL_SECONDS)
                position = write(connection, replace(asked, after=position), stop)
    if stop.is_set():
        raise KeyboardInterrupt


Write = Callable[[psycopg.Connection[Any], EventFilter, Event], int]
"""Writes what fits and is there; returns the position to go on after."""


def _json_writer(url: str) -> Write:
    def write(connection: psycopg.Connection[Any], asked: EventFilter, stop: Event) -> int:
        out, head = sys.stdout.buffer, last_position().fetch(connection)[0]
        piped = not sys.stdout.isatty()
        with waiting("Replaying") if piped else nullcontext():
            for block in json_lines(url, asked, up_to=head):
                out.write(block if piped else f"{at_terminal(block)}\n".encode())
                if stop.is_set():
                    break
        out.flush()
        return max(head, asked.after or 0)

    return write


def _entry_writer(form: str) -> Write:
    line = _LINES[form]
    heading = [_CSV_HEADING] if form == CSV else []

    def write(connection: psycopg.Connection[Any], asked: EventFilter, stop: Event) -> int:
        head = last_position().fetch(connection)[0]
        while heading:
            click.echo(heading.pop())
        for entry in entries(connection, asked, up_to=head):
            click.echo(line(entry))
            if stop.is_set():
                break
        return max(head, asked.after or 0)

    return write


def _sentence(entry: AuditEntry) -> str:
    return f"{entry.position}  {shown(entry.occurred_at)}  {sentence(entry)}"


def _ocsf(entry: AuditEntry) -> str:
    return escaped_json(to_json(ocsf_event(entry)).decode())


def _cloud_event(entry: AuditEntry) -> str:
    source = settings_in_force().issuer_url
    return escaped_json(to_json(cloud_event(entry, source=source)).decode())


_CSV_COLUMNS = tuple(AuditEntry.__dataclass_fields__)


_CSV_HEADING = csv_line(_CSV_COLUMNS)


def _csv(entry: AuditEntry) -> str:
    return csv_line([cell(getattr(entry, name)) for name in _CSV_COLUMNS])


_LINES: Mapping[str, Callable[[AuditEntry], str]] = {
    SENTENCES: _sentence,
    TABLE: table_line,
    CSV: _csv,
    OCSF: _ocsf,
    CLOUDEVENTS: _cloud_event,
}


@contextmanager
def _quiet_where_nobody_reads() -> Iterator[None]:
    """End without a word where the reader of a pipe has had enough (`| head`)."""
    try:
        yield
    except BrokenPipeError:
        # Python would complain once more while it flushes at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123
        sys.exit(0)
