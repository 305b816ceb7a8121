"""The program `grantledger`: all commands, and how each of them ends (see api.cli.outcomes)."""

import signal
import sys
from typing import Any, NoReturn

import rich_click as click

from api.cli.audit import audit
from api.cli.backup import backup, restore
from api.cli.client import client
from api.cli.diff import diff
from api.cli.doctor import doctor
from api.cli.export import export, export_verify
from api.cli.family import family
from api.cli.issuer import issuer
from api.cli.keys import keys
from api.cli.lineage import lineage
from api.cli.operation import migrate, status
from api.cli.options import data_dir_option, examples
from api.cli.outcomes import INTERRUPTED, TERMINATED, outcome
from api.cli.principal import principal
from api.cli.projections import projections
from api.cli.registration import registration
from api.cli.replay import replay
from api.cli.report import report
from api.cli.retention import retention
from api.cli.serve import serve
from api.cli.session import session
from api.cli.token import token
from api.logging_setup import configure_logging
from domain.visible_text import visible


class _Program(click.RichGroup):
    """Ends a command that failed with one line and an exit code instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:
            found = outcome(error)
            if found is None:
                raise
            code, line = found
            click.echo(f"grantledger: {visible(line)}", err=True)
            ctx.exit(code)


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "grantledger serve",
        "grantledger token issue",
        "grantledger client create billing-agent --scope service",
        "grantledger audit tail --follow",
    ),
)
@click.version_option(package_name="grantledger", prog_name="grantledger")
@data_dir_option
def program() -> None:
    """An OAuth 2.1 token service whose source of truth is an event log in PostgreSQL.

    Commands work on the database directly, whether or not the service runs. What they change is
    recorded like any other act, as cli:YOU, with --reason as the why.

    Exit codes: 0 done, 1 refused, 2 wrong usage or setting, 3 database or service away,
    130 interrupted.
    """
    configure_logging("warning", "console")


for _command in (
    serve,
    token,
    client,
    principal,
    session,
    issuer,
    registration,
    keys,
    audit,
    replay,
    lineage,
    family,
    diff,
    report,
    export,
    export_verify,
    retention,
    backup,
    restore,
    status,
    doctor,
    projections,
    migrate,
):
    program.add_command(_command)


def main() -> NoReturn:
    """Run the program with the arguments of the process, and exit."""
    # Without this a SIGTERM would leave the embedded database running.
    signal.signal(signal.SIGTERM, _terminate)
    program.main(prog_name="grantledger")


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)
