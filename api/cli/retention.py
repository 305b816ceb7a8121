"""`grantledger retention ...`: old months leave the database as files, and may come back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rich_click as click
from psycopg import Connection

from api.cli.export import REFUSALS, ExportRecord
from api.cli.options import data_dir_option, examples, json_option, reason_option, settings_in_force
from api.cli.outcomes import Refused
from api.cli.progress import counting
from api.cli.running import brought_up, by_operator, opened_database, serving
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from application.administration import retention as recorded
from application.settings import Settings
from projections.audit_trail import AUDIT_TRAIL
from projections.retention.archive import Archived, ArchiveNotWhole
from projections.retention.detaching import Detached, MonthGrew, Way, detach_due
from projections.retention.months import months_left
from projections.retention.plan import MonthPlan
from projections.retention.plan import plan as planned_months
from projections.retention.restoring import NothingToRestore
from projections.retention.restoring import restore as restore_month
from projections.session import open_session

_REFUSALS = (*REFUSALS, ArchiveNotWhole, MonthGrew, NothingToRestore)
_PLAN: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "partition": lambda row: row["partition"],
    "state": lambda row: row["state"],
    "events": lambda row: row["rows"],
    "bytes": lambda row: row["bytes"],
    "first": lambda row: row["first_position"],
    "last": lambda row: row["last_position"],
    "kept by": lambda row: "; ".join(row["kept_by"]),
}
_DETACHED: Mapping[str, Callable[[Detached], object]] = {
    "partition": lambda one: one.partition,
    "rows": lambda one: one.rows,
    "first": lambda one: one.first_position,
    "last": lambda one: one.last_position,
    "archive": lambda one: one.directory,
    "dropped": lambda one: one.dropped,
    "manifest": lambda one: one.manifest_sha256,
}


@click.group()
def retention() -> None:
    """Take months that are older than GRANTLEDGER_RETENTION_MONTHS out of the database."""


@retention.command(
    epilog=examples(
        "grantledger retention plan",
        "GRANTLEDGER_RETENTION_MONTHS=13 grantledger retention plan --json",
    )
)
@json_option
@data_dir_option
def plan(*, as_json: bool) -> None:
    """Show every month of the log: what it holds, whether it may leave, and what keeps it."""
    settings = settings_in_force()
    with opened_database(settings) as url, _session(url) as connection:
        rows = [_left(one) for one in months_left(connection)]
        rows += [_attached(one) for one in _planned(settings, connection)]
    print_rows(rows, _PLAN, as_json=as_json)


@retention.command(
    epilog=examples(
        "grantledger retention apply --out /archive --reason 'our policy, 13 months'",
        "GRANTLEDGER_RETENTION_MONTHS=13 grantledger retention apply --out /archive --drop --json",
    )
)
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the archives go, a directory a month",
)
@click.option("--drop", is_flag=True, help="Keep no copy of the events in the database")
@reason_option
@json_option
@data_dir_option
def apply(*, out: Path, drop: bool, reason: str, as_json: bool) -> None:
    """Archive every month that may leave, verify the archive, record it, then detach the month.

    Without --drop the table stays beside the log, and restoring is quick.
    """
    settings = settings_in_force()
    if settings.retention_months is None:
        raise Refused("GRANTLEDGER_RETENTION_MONTHS is not set: events are kept for ever")
    with opened_database(settings) as url, _session(url) as connection:
        acts = _Acts(settings, url, reason, drop=drop)
        with _refusing(), counting("Archiving") as progress:
            way = Way(
                out=out,
                issuer=settings.issuer_url,
                drop=drop,
                announce=ExportRecord(settings, url, reason).start,
                record=acts.detached,
                progress=progress,
            )
            done = detach_due(
                url,
                connection,
                way,
                retention_months=settings.retention_months,
                now=datetime.now(UTC),
            )
    print_rows(done, _DETACHED, as_json=as_json, empty="no month may leave: see `retention plan`")


@retention.command(
    epilog=examples("grantledger retention restore /archive/2025_01 --reason 'subpoena 12'")
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@reason_option
@json_option
@data_dir_option
def restore(*, directory: Path, reason: str, as_json: bool) -> None:
    """Put an archived month back into the log, if it is the archive that the log recorded."""
    settings = settings_in_force()
    with opened_database(settings) as url, _session(url) as connection, _refusing():
        acts = _Acts(settings, url, reason, drop=False)
        archived = restore_month(url, connection, directory, record=acts.restored)
    shown = {"partition": archived.manifest.partition, "rows": archived.manifest.rows}
    if as_json:
        print_json(shown)
    else:
        print_fields(shown)


class _Acts:
    """What the log says of a month before it leaves or comes back."""

    def __init__(self, settings: Settings, url: str, reason: str, *, drop: bool) -> None:
        self._settings = settings
        self._url = url
        self._reason = reason
        self._drop = drop

    def detached(self, planned: MonthPlan, archived: Archived) -> None:
        """Record that a month leaves. Raises LedgerUnavailable and ConflictingState."""

        async def work(service: Service) -> None:
            await recorded.record_detached(
                planned.month.partition,
                rows=archived.manifest.rows,
                first_position=archived.manifest.first_position,
                last_position=archived.manifest.last_position,
                manifest_sha256=archived.manifest_sha256,
                dropped=self._drop,
                service=service,
                provenance=by_operator(service, self._reason),
            )

        serving(self._settings, self._url, work)

    def restored(self, archived: Archived) -> None:
        """Record that a month comes back. Raises LedgerUnavailable and ConflictingState."""

        async def work(service: Service) -> None:
            await recorded.record_restored(
                archived.manifest.partition,
                manifest_sha256=archived.manifest_sha256,
                service=service,
                provenance=by_operator(service, self._reason),
            )

        serving(self._settings, self._url, work)


@contextmanager
def _session(url: str) -> Iterator[Connection[Any]]:
    with closing(open_session(url, name="retention")) as connection:
        brought_up(url, connection, AUDIT_TRAIL)
        yield connection


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        raise Refused(str(error)) from None


def _planned(settings: Settings, connection: Connection[Any]) -> list[MonthPlan]:
    return planned_months(
        connection, retention_months=settings.retention_months, now=datetime.now(UTC)
    )


def _attached(one: MonthPlan) -> Mapping[str, Any]:
    return {
        "partition": one.month.partition,
        "state": "leaves" if one.leaves else "stays",
        "rows": one.rows,
        "bytes": one.month.bytes,
        "first_position": one.first_position,
        "last_position": one.last_position,
        "last_recorded_at": one.last_recorded_at,
        "older": one.older,
        "kept_by": one.kept_by,
    }


def _left(one: Any) -> Mapping[str, Any]:
    return {
        "partition": one.month.partition,
        "state": "detached",
        "rows": one.rows,
        "bytes": 0,
        "first_position": one.first_position,
        "last_position": one.last_position,
        "last_recorded_at": None,
        "older": True,
        "kept_by": (),
    }
