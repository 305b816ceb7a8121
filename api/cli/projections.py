"""`grantledger projections ...`: look after the read models, or build them in a process apart."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import rich_click as click

from api.cli.options import data_dir_option, examples, json_option, settings_in_force
from api.cli.outcomes import REFUSED
from api.cli.progress import counting
from api.cli.running import opened_database
from api.cli.tables import print_rows
from api.logging_setup import configure_logging
from api.projector import until_told
from projections.projection import Projection
from projections.rebuild import Rebuilt, rebuild
from projections.registry import PROJECTIONS, projection_named
from projections.runner import run as run_projections
from projections.session import open_session
from projections.status import ProjectionStatus, projection_status
from projections.verify import DriftReport, verify

_NAMES = tuple(projection.name for projection in PROJECTIONS)

_without_detached = click.option(
    "--without-detached", is_flag=True, help="Although months of the log are detached"
)

_STATUS: Mapping[str, Callable[[ProjectionStatus], object]] = {
    "projection": lambda status: status.projection,
    "build": lambda status: status.build,
    "position": lambda status: status.position,
    "of": lambda status: status.head,
    "lag, events": lambda status: status.lag_events,
    "lag, seconds": lambda status: f"{status.lag_seconds:.3f}",
    "set aside": lambda status: status.set_aside,
}
_REBUILT: Mapping[str, Callable[[Rebuilt], object]] = {
    "projection": lambda rebuilt: rebuilt.projection,
    "build": lambda rebuilt: rebuilt.build,
    "position": lambda rebuilt: rebuilt.position,
}
_DRIFT: Mapping[str, Callable[[DriftReport], object]] = {
    "projection": lambda report: report.projection,
    "build": lambda report: report.build,
    "position": lambda report: report.position,
    "clean": lambda report: report.clean,
    "missing": lambda report: report.missing,
    "unexpected": lambda report: report.unexpected,
    "differing": lambda report: report.differing,
    "examples": lambda report: report.examples,
}


@click.group()
def projections() -> None:
    """Look after the read models that the audit trail and the reports are made of."""


@projections.command(
    epilog=examples("grantledger projections status", "grantledger projections status --json")
)
@json_option
@data_dir_option
def status(*, as_json: bool) -> None:
    """Show how far each read model is behind the log."""
    with (
        opened_database(settings_in_force()) as url,
        closing(open_session(url, name="cli")) as connection,
    ):
        found = projection_status().fetch(connection)
    print_rows(found, _STATUS, as_json=as_json)


@projections.command(
    "rebuild",
    epilog=examples(
        "grantledger projections rebuild", "grantledger projections rebuild audit_trail"
    ),
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(_NAMES))
@_without_detached
@json_option
@data_dir_option
def rebuild_them(*, names: tuple[str, ...], without_detached: bool, as_json: bool) -> None:
    """Build read models anew from the log, all if none is named. Readers notice nothing."""
    rebuilt = []
    with opened_database(settings_in_force()) as url:
        for projection in _chosen(names):
            with counting(f"Rebuilding {projection.name}") as progress:
                rebuilt.append(
                    rebuild(url, projection, progress=progress, without_detached=without_detached)
                )
    print_rows(rebuilt, _REBUILT, as_json=as_json)


@projections.command(
    "verify",
    epilog=examples(
        "grantledger projections verify",
        "grantledger projections verify client_last_used --json || echo drift",
    ),
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(_NAMES))
@_without_detached
@json_option
@data_dir_option
def verify_them(*, names: tuple[str, ...], without_detached: bool, as_json: bool) -> None:
    """Replay the log beside read models and compare; exit code 1 where they differ."""
    reports = []
    with opened_database(settings_in_force()) as url:
        for projection in _chosen(names):
            with counting(f"Verifying {projection.name}") as progress:
                reports.append(
                    verify(url, projection, progress=progress, without_detached=without_detached)
                )
    print_rows(reports, _DRIFT, as_json=as_json)
    if not all(report.clean for report in reports):
        sys.exit(REFUSED)


@projections.command(epilog=examples("DATABASE_URL=... grantledger projections run"))
@data_dir_option
def run() -> None:
    """Build the read models until SIGTERM or Ctrl-C. `serve` does this by itself.

    Any number of these may run: one leads, the others take over when it dies.
    """
    settings = settings_in_force()
    configure_logging(settings.log_level, settings.log_format)
    with opened_database(settings) as url, until_told() as stop:
        run_projections(url, stop)


def _chosen(names: Sequence[str]) -> Sequence[Projection]:
    return [projection_named(name) for name in names] if names else PROJECTIONS
