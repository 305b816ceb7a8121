"""`grantledger doctor`: what is wrong with a deployment, and what to do about it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import rich_click as click

from api.cli.options import data_dir_option, examples, json_option, settings_in_force
from api.cli.outcomes import REFUSED
from api.cli.running import opened_database
from api.cli.tables import print_rows
from api.doctor.database import examine_database
from api.doctor.finding import Finding, Level, problem
from api.doctor.log import examine_log
from api.doctor.machine import examine_machine
from api.doctor.secrets import examine_secrets
from api.embedded_postgres import is_set_up
from application.ledger.errors import LedgerUnavailable
from application.secrets_file import SECRETS_FILE, load_secret_keys, secrets_exist
from application.settings import Settings, SettingsError
from projections.session import open_session

_COLUMNS: Mapping[str, Callable[[Finding], object]] = {
    "": lambda one: one.level,
    "check": lambda one: one.check,
    "found": lambda one: one.found,
    "what to do": lambda one: one.fix,
}
_WORST_FIRST = (Level.PROBLEM, Level.WARNING, Level.OK)


@click.command(epilog=examples("grantledger doctor", "grantledger doctor --json | jq '.[].fix'"))
@json_option
@data_dir_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Look at clock, database, log, keys and files, and say what to do.

    Changes nothing. Ends with 1 where there is a problem, with 0 where there are none but warnings.
    """
    findings = sorted(_examined(settings_in_force()), key=lambda one: _WORST_FIRST.index(one.level))
    print_rows(findings, _COLUMNS, as_json=as_json)
    if any(one.level is Level.PROBLEM for one in findings):
        context.exit(REFUSED)


def _examined(settings: Settings) -> Iterator[Finding]:
    yield from examine_machine(settings)
    if settings.database_url is None and not is_set_up(settings.data_dir):
        yield problem("database", "none was set up here yet", "run `grantledger serve`")
        return
    try:
        with opened_database(settings, migrated=False) as url:
            yield from _of_database(url, settings)
    except (LedgerUnavailable, SettingsError, psycopg.OperationalError) as away:
        yield problem(
            "database", str(away).split("\n")[0], "start PostgreSQL, or correct DATABASE_URL"
        )


def _of_database(url: str, settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    with closing(open_session(url, name="doctor")) as connection:
        yield from examine_database(connection)
        of_log = list(examine_log(connection, now))
    yield from of_log
    if any(one.check == "schema" and one.fix for one in of_log):
        return
    if not secrets_exist(settings):
        yield problem(
            "secrets",
            f"neither in the settings nor in {settings.data_dir / SECRETS_FILE}",
            "put back what this database was used with: without it no client and no key works",
        )
        return
    try:
        peppers, master = load_secret_keys(settings)
    except SettingsError as error:
        yield problem("secrets", str(error), "correct the setting, or restore secrets.json")
        return
    yield from asyncio.run(examine_secrets(url, settings, peppers, master, now))
