"""`grantledger report ...`: the questions of auditors, each a command of its own."""

import os
import stat
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import rich_click as click

from api.cli.event_filters import told
from api.cli.options import data_dir_option, examples, settings_in_force
from api.cli.outcomes import Refused
from api.cli.progress import counting, waiting
from api.cli.running import opened_read_models
from api.cli.tables import print_rows
from api.report_formats import Format, written
from domain.recorded import moment
from domain.visible_text import visible
from projections.as_of import UnreadableAsOf, parse_as_of
from projections.audit_trail import AUDIT_TRAIL
from projections.query import Asking, answered
from projections.reports.asking import answering
from projections.reports.parameters import UnusableParameter
from projections.reports.registry import REPORTS
from projections.reports.report import Answer, Report

TABLE = "table"
_OWN = ("as_of", "form", "out", "from_export")


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "grantledger report --list",
        "grantledger report client-inventory",
        "grantledger report client-inventory --as-of 2026-03-03 --format csv --out clients.csv",
        "grantledger report issuance --as-of=-90d --format json | jq '.rows[0]'",
        "grantledger report signing-keys --from-export /srv/export",
    ),
)
@click.option("--list", "listed", is_flag=True, help="List the reports, as without the name of one")
@data_dir_option
@click.pass_context
def report(context: click.Context, *, listed: bool) -> None:
    """Answer a question of auditors, about now or about any moment of the past."""
    if context.invoked_subcommand is None or listed:
        columns = {
            "report": lambda one: one.name,
            "#": lambda one: one.number,
            "question": lambda one: one.question,
            "asked by": lambda one: one.asked_by,
            "parameters": lambda one: [each.name for each in one.parameters],
        }
        print_rows(REPORTS, columns, as_json=False)
        context.exit()


def _command(one: Report) -> click.Command:
    options = [
        click.Option([f"--{each.name.replace('_', '-')}", each.name], help=_help(each))
        for each in one.parameters
    ]
    columns = "\n\n".join(f"{column.name}: {column.meaning}" for column in one.columns)
    command = click.RichCommand(
        name=one.name,
        params=[*options, *_common()],
        callback=partial(_asked, one),
        help=f"{one.question}\n\nColumns:\n\n{columns}",
        short_help=one.question,
        epilog=examples(_example(one), f"{_example(one)} --as-of 2026-03-03 --format json"),
    )
    return data_dir_option(command)


def _help(parameter: Any) -> str:
    if parameter.required:
        return f"{parameter.meaning}  [required]"
    shown = "" if parameter.default is None else f"  [default: {parameter.default}]"
    return f"{parameter.meaning}{shown}"


def _example(one: Report) -> str:
    needed = [f"--{each.name.replace('_', '-')} ..." for each in one.parameters if each.required]
    return " ".join(["grantledger report", one.name, *needed])


def _common() -> list[click.Parameter]:
    return [
        click.Option(
            ["--as-of"],
            metavar="TIME|POSITION",
            help="As the service stood then: 2026-03-03T12:00:00Z, -90d, or a position of the log",
        ),
        click.Option(
            ["--format", "form"],
            type=click.Choice([TABLE, *(each.value for each in Format)]),
            default=TABLE,
            show_default=True,
            help="What to write",
        ),
        click.Option(
            ["--out"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write to this file instead of standard output",
        ),
        click.Option(
            ["--from-export"],
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="Answer from this export with DuckDB, without the database of the service",
        ),
    ]


def _asked(one: Report, **options: Any) -> None:
    now = datetime.now(UTC)
    given = {name: value for name, value in options.items() if name not in _OWN and value}
    made = _answered(one, given, options, now)
    click.echo(visible(_rests_on(made)), err=True)
    if options["form"] == TABLE:
        if options["out"] is not None:
            raise click.UsageError("a table goes to the terminal; --out needs another --format")
        print_rows(made.rows, _columns(one), as_json=False, empty="no rows")
        return
    _write(written(made, Format(options["form"])), options["out"])


def _answered(
    one: Report, given: Mapping[str, str], options: Mapping[str, Any], now: datetime
) -> Answer:
    try:
        asked = parse_as_of(options["as_of"], now=now) if options["as_of"] else None
        settings = settings_in_force()
        policy = settings.policy(settings.catalogue())
        asking = answering(one, given, asked, now=now, policy=policy)
        if options["from_export"] is not None:
            return _in_export(asking, options["from_export"])
        with (
            opened_read_models(
                AUDIT_TRAIL,
                reads=f"report {one.name}",
                filters=told({**given, "as_of": options["as_of"]}),
            ) as connection,
            waiting(f"Asking {one.name}"),
        ):
            return answered(asking, connection)
    except (UnusableParameter, UnreadableAsOf) as error:
        raise click.UsageError(str(error)) from None


def _in_export(asking: Asking[Answer], directory: Path) -> Answer:
    # A second engine, which most commands never need.
    from duckdb import Error  # noqa: PLC0415

    from projections.export.manifest import UnusableManifest, read_manifest  # noqa: PLC0415
    from projections.reports import duckdb_engine  # noqa: PLC0415

    try:
        first = read_manifest(directory).first_position
        if first > 1:
            click.echo(f"note: the export begins at position {first}, not at 1", err=True)
        with (
            counting("Checking the export") as progress,
            duckdb_engine.opened_export(directory, progress=progress) as export,
        ):
            return duckdb_engine.answered(asking, export)
    except (UnusableManifest, duckdb_engine.DamagedExport, Error, OSError) as error:
        (reason, *_) = str(error).splitlines()
        raise Refused(reason) from None


def _rests_on(made: Answer) -> str:
    asked = " ".join(f"{name}={value}" for name, value in made.given.items() if value is not None)
    return (
        f"{made.report.name}{f' {asked}' if asked else ''}: {len(made.rows)} rows as of position"
        f" {made.as_of.position} ({moment(made.as_of.moment)}), made {moment(made.made_at)}"
    )


def _columns(one: Report) -> Mapping[str, Any]:
    return {column.name: partial(_at, place) for place, column in enumerate(one.columns)}


def _at(place: int, row: Any) -> object:
    return row[place]


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        _write_private(out, content)
    except OSError as error:
        raise Refused(f"{out}: {error.strerror}") from None


def _write_private(out: Path, content: bytes) -> None:
    # As private as an export: a report tells as much of people and tokens.
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # and no pipe, nor /dev/stdout
            os.fchmod(descriptor, 0o600)
        file.write(content)


for _report in REPORTS:
    report.add_command(_command(_report))
