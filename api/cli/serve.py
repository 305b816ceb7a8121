"""`grantledger serve`: run the service in the foreground."""

import sys

import rich_click as click

from api import server
from api.cli.announcement import announcement
from api.cli.options import data_dir_option, examples, settings_in_force
from api.first_run import BOOTSTRAP_FILE, read_bootstrap
from api.logging_setup import configure_logging
from application.administration.clients import BY_SECRET
from application.settings import Settings


# The values go to the settings as they are: one place checks them, with one line for each mistake.
@click.command(
    epilog=examples(
        "grantledger serve",
        "grantledger serve --port 8001 --data-dir ./second",
        "grantledger serve --host 0.0.0.0 --issuer https://auth.example --workers 4",
        "DATABASE_URL=postgresql://grantledger@db/grantledger grantledger serve",
    )
)
@click.option("--host", metavar="ADDRESS", help="To listen on  [default: 127.0.0.1]")
@click.option("--port", metavar="PORT", help="To listen on  [default: 8000]")
@click.option("--issuer", metavar="URL", help="`iss` and base of all endpoints")
@click.option("--workers", metavar="N", help="API processes  [default: 1]")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error")
@data_dir_option
def serve(
    *,
    host: str | None,
    port: str | None,
    issuer: str | None,
    workers: str | None,
    log_level: str | None,
) -> None:
    """Run the service until Ctrl-C: database, schema, first run, API and read models.

    Each option overrules its GRANTLEDGER_... variable.
    """
    settings = settings_in_force(
        host=host, port=port, issuer=issuer, workers=workers, log_level=log_level
    )
    configure_logging(settings.log_level, settings.log_format)
    if sys.stderr.isatty():
        click.echo("Starting; the very first start takes some seconds ...", err=True)
    server.serve(settings, announce=lambda first: _announce(settings, first))


def _announce(settings: Settings, first: bool) -> None:
    path = settings.data_dir / BOOTSTRAP_FILE
    text = announcement(
        read_bootstrap(settings),
        path=path,
        issuer=settings.issuer_url,
        first=first,
        terminal=sys.stdout.isatty(),
        by_secret=not set(settings.client_auth_methods).isdisjoint(BY_SECRET),
    )
    click.echo(text)
