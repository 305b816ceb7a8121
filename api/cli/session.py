"""`grantledger session ...`: the logins of people, and what was issued under them."""

from collections.abc import Callable, Mapping

import rich_click as click

from api.cli.event_filters import told
from api.cli.options import data_dir_option, examples, json_option, reason_option
from api.cli.running import by_operator, read_by_service, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.views import SessionView
from application.ending import end_session
from application.errors import NotFound
from projections import sessions

_COLUMNS: Mapping[str, Callable[[SessionView], object]] = {
    "kind": lambda entry: entry.kind,
    "id": lambda entry: entry.id,
    "subject": lambda entry: entry.subject,
    "client": lambda entry: entry.client_id,
    "methods": lambda entry: entry.methods,
    "started": lambda entry: entry.started_at,
    "expires": lambda entry: entry.expires_at,
    "ended": lambda entry: entry.ended_at,
    "by": lambda entry: entry.ended_by,
}


@click.group()
def session() -> None:
    """List and end the sessions of people."""


@session.command(
    "list",
    epilog=examples("grantledger session list", "grantledger session list alice --all --json"),
)
@click.argument("subject", required=False)
@click.option("--all", "everything", is_flag=True, help="Ended and expired ones too")
@click.option("--before", metavar="ID", help="Older ones than this, the last that was listed")
@json_option
@data_dir_option
def list_sessions(
    *, subject: str | None, everything: bool, before: str | None, as_json: bool
) -> None:
    """List the 500 newest sessions that are alive, of one person or of all, newest first."""

    async def work(service: Service) -> list[SessionView]:
        now = None if everything else service.clock.now()
        found = await service.read_models.fetch(sessions.logins(subject, now=now, before=before))
        return [SessionView.of(entry) for entry in found]

    asked = {"subject": subject, "before": before, "all": everything}
    found = read_by_service(work, reads="sessions", filters=told(asked))
    print_rows(found, _COLUMNS, as_json=as_json, empty="nobody is logged in")
    if len(found) == sessions.PAGE:
        click.echo(f"note: there may be more: go on with --before {found[-1].id}", err=True)


@session.command(epilog=examples("grantledger session show sess_0199..."))
@click.argument("session_id")
@json_option
@data_dir_option
def show(*, session_id: str, as_json: bool) -> None:
    """Show one session and the families of refresh tokens under it."""

    async def work(service: Service) -> list[SessionView]:
        found = await service.read_models.fetch(sessions.of_session(session_id))
        if not found:
            raise NotFound(f"no such session: {session_id}")
        return [SessionView.of(entry) for entry in found]

    found = read_by_service(work, reads=f"session {session_id}")
    print_rows(found, _COLUMNS, as_json=as_json, empty="")


@session.command(epilog=examples("grantledger session end sess_0199... --reason 'lost laptop'"))
@click.argument("session_id")
@reason_option
@json_option
@data_dir_option
def end(*, session_id: str, reason: str, as_json: bool) -> None:
    """End a session; its refresh tokens and access tokens are void at once."""

    async def work(service: Service) -> dict[str, str]:
        provenance = by_operator(service, reason)
        ended = await end_session(
            session_id,
            service,
            by=provenance.by,
            reason=reason or "ended by an administrator",
            provenance=provenance,
        )
        if ended is None:
            raise NotFound(f"no such session: {session_id}")
        return {"session_id": session_id, "subject": ended.subject, "state": "ended"}

    result = with_service(work)
    if as_json:
        print_json(result)
    else:
        print_fields(result)
