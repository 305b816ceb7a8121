"""`grantledger export` and `grantledger export-verify`: the audit trail as Parquet files."""

import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click

from api.cli.boundary import Boundary
from api.cli.options import data_dir_option, examples, json_option, reason_option, settings_in_force
from api.cli.outcomes import REFUSED, Refused
from api.cli.progress import counting
from api.cli.running import brought_up, by_operator, opened_database, serving
from api.cli.tables import print_fields, print_json
from api.composition import Service
from application.administration import audit_exports
from application.settings import Settings
from domain.audit_export import AuditExport
from domain.visible_text import visible
from projections.audit_trail import AUDIT_TRAIL
from projections.export.asked_range import EmptyRange, asked_range
from projections.export.checking import check
from projections.export.exporting import Exported, ExportRefused
from projections.export.exporting import export as export_range
from projections.export.manifest import UnusableManifest
from projections.export.parts import PositionRange
from projections.export.published import DirectoryInUse
from projections.session import open_session

REFUSALS = (EmptyRange, ExportRefused, UnusableManifest, DirectoryInUse, OSError)


@click.command(
    epilog=examples(
        "grantledger export --out ./export",
        "grantledger export --from 2026-01-01 --to 2026-04-01 --out ./q1 --reason 'audit 2026'",
        "grantledger export --from 1 --to 5000000 --out ./export --json | jq .manifest_sha256",
    )
)
@click.option("--from", "first", type=Boundary(), help="From when on  [default: the first event]")
@click.option("--to", "last", type=Boundary(), help="Until when, inclusive  [default: now]")
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files go; a directory with an export of ours goes on",
)
@reason_option
@json_option
@data_dir_option
def export(
    *,
    first: int | datetime | None,
    last: int | datetime | None,
    out: Path,
    reason: str,
    as_json: bool,
) -> None:
    """Write the audit trail as Parquet files, by day and range of positions, with a manifest.

    The same range again writes nothing; a run that was broken off goes on. It is recorded before
    the first file is written.
    """
    settings = settings_in_force()
    with opened_database(settings) as url:
        try:
            with closing(open_session(url, name="cli")) as connection:
                brought_up(url, connection, AUDIT_TRAIL)
                asked = asked_range(connection, first, last, now=datetime.now(UTC))
            done = _exported(settings, url, out, asked, reason)
        except REFUSALS as error:
            raise Refused(str(error)) from None
    _show(out, done, as_json=as_json)


def _exported(
    settings: Settings, url: str, out: Path, asked: PositionRange, reason: str
) -> Exported:
    record = ExportRecord(settings, url, reason)
    with counting("Exporting") as progress:
        done = export_range(
            url,
            out,
            asked,
            issuer=settings.issuer_url,
            announce=record.start,
            progress=progress,
        )
    record.finish(done)
    return done


class ExportRecord:
    """What the log says of one export."""

    def __init__(self, settings: Settings, url: str, reason: str) -> None:
        self._settings = settings
        self._url = url
        self._reason = reason
        self._begun: AuditExport | None = None

    def start(self, of: PositionRange, rows: int) -> None:
        """Record that `rows` events are about to be written. Raises LedgerUnavailable."""

        async def work(service: Service) -> AuditExport:
            return await audit_exports.start(
                first_position=of.first,
                last_position=of.last,
                rows=rows,
                service=service,
                provenance=by_operator(service, self._reason),
            )

        self._begun = serving(self._settings, self._url, work)

    def finish(self, done: Exported) -> None:
        """Record what is there now, unless nothing was written. Raises LedgerUnavailable."""
        begun, manifest = self._begun, done.manifest
        if begun is None:  # nothing was written
            return

        async def work(service: Service) -> None:
            await audit_exports.finish(
                begun,
                first_position=manifest.first_position,
                last_position=manifest.last_position,
                rows=manifest.rows,
                files=len(manifest.files),
                manifest_sha256=done.manifest_sha256,
                service=service,
                provenance=by_operator(service, self._reason),
            )

        serving(self._settings, self._url, work)


def _show(out: Path, done: Exported, *, as_json: bool) -> None:
    manifest = done.manifest
    shown = {
        "directory": str(out),
        "first_position": manifest.first_position,
        "last_position": manifest.last_position,
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "files": len(manifest.files),
        "written": done.written,
        "kept": done.kept,
        "manifest_sha256": done.manifest_sha256,
    }
    if as_json:
        print_json(shown)
    else:
        print_fields(shown)


@click.command(
    "export-verify",
    epilog=examples(
        "grantledger export-verify ./export",
        "grantledger export-verify ./export --sha256 "
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9 --json",
    ),
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--sha256",
    metavar="HEX",
    help="What the manifest must hash to, as audit_export.finished recorded it",
)
@json_option
def export_verify(*, directory: Path, sha256: str | None, as_json: bool) -> None:
    """Read all files of an export again: hashes, counts and positions. Needs no database."""
    try:
        with counting("Verifying") as progress:
            found = check(directory, manifest_sha256=sha256, progress=progress)
    except REFUSALS as error:
        raise Refused(str(error)) from None
    if as_json:
        print_json(found)
    else:
        print_fields({name: value for name, value in asdict(found).items() if name != "problems"})
        for problem in found.problems:
            click.echo(visible(problem))
    if found.problems:
        sys.exit(REFUSED)
