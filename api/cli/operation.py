"""`grantledger migrate` and `grantledger status`: the state of a deployment."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import psycopg
import rich_click as click

from api.cli.options import data_dir_option, examples, json_option, settings_in_force
from api.cli.over_http import is_ready
from api.cli.running import opened_database
from api.cli.tables import print_fields, print_json
from api.first_run import read_bootstrap
from application.ledger.schema import MIGRATIONS, schema_version
from application.settings import Settings
from projections.session import open_session
from projections.status import ProjectionStatus, projection_status

_COUNTS = (
    "SELECT count(DISTINCT originator_id) FILTER (WHERE topic = 'client.registered'),"
    " count(DISTINCT originator_id) FILTER (WHERE topic = 'principal.registered'),"
    " count(DISTINCT originator_id) FILTER (WHERE topic = 'key.generated')"
    " FROM grantledger.ledger_events_directory"
)


@click.command(epilog=examples("grantledger migrate", "DATABASE_URL=... grantledger migrate"))
@json_option
@data_dir_option
def migrate(*, as_json: bool) -> None:
    """Bring the schema of the database up to date. Every start does this by itself."""
    settings = settings_in_force()
    with opened_database(settings, migrated=False) as url:
        before = _schema(url)
    with opened_database(settings) as url:
        after = _schema(url)
    applied = [name for name, _ in MIGRATIONS[before:after]]
    if as_json:
        print_json({"applied": applied, "schema": after})
    else:
        click.echo(f"schema {after}; applied: {', '.join(applied) or 'nothing, it was up to date'}")


@dataclass(frozen=True, slots=True)
class LogStatus:
    """What the database says; counts include what is disabled, deactivated or retired."""

    postgresql: str
    schema: int
    clients: int
    principals: int
    keys: int
    position: int
    projections: tuple[ProjectionStatus, ...]


@click.command(epilog=examples("grantledger status", "grantledger status --json | jq .position"))
@json_option
@data_dir_option
def status(*, as_json: bool) -> None:
    """Show what runs where, and how far the log and its read models are."""
    settings = settings_in_force()
    with opened_database(settings, migrated=False) as url:
        log = _log_status(url)
    facts = {**_deployment(settings), **({} if log is None else asdict(log))}
    if as_json:
        print_json(facts)
        return
    if log is None:
        facts["schema"] = f"older than this version ({len(MIGRATIONS)}): run `grantledger migrate`"
    else:
        facts["projections"] = [
            {"name": one.projection, "events behind": one.lag_events} for one in log.projections
        ]
    print_fields(facts)


def _deployment(settings: Settings) -> dict[str, Any]:
    kept: Mapping[str, Any] = read_bootstrap(settings) or {}
    issuer = str(kept.get("issuer", settings.issuer_url))
    return {
        "version": version("grantledger"),
        "issuer": issuer,
        "ready": is_ready(issuer),
        "database": "embedded" if settings.database_url is None else "DATABASE_URL",
        "data_dir": settings.data_dir,
    }


def _log_status(url: str) -> LogStatus | None:
    with closing(open_session(url, name="cli")) as connection:
        schema = schema_version(connection)
        if schema < len(MIGRATIONS):
            return None
        counts = connection.execute(_COUNTS).fetchall()[0]
        projections = tuple(projection_status().fetch(connection))
        return LogStatus(
            postgresql=connection.info.parameter_status("server_version") or "",
            schema=schema,
            clients=counts[0],
            principals=counts[1],
            keys=counts[2],
            position=projections[0].head,
            projections=projections,
        )


def _schema(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        return schema_version(connection)
