"""`grantledger principal ...`: the people and other owners on whose authority clients act."""

import sys
from collections.abc import Callable, Mapping

import rich_click as click

from api import person_logins
from api.admin_requests import NewPrincipal
from api.cli.options import as_of_option, data_dir_option, examples, json_option, reason_option
from api.cli.past import from_past
from api.cli.running import by_operator, keeping_up, read_by_service, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.ends_of_people import deactivate as end_of_person
from api.views import PrincipalView, PrincipalWithLogin
from application import account
from application.administration import principals
from application.errors import NotFound
from application.people.passwords import PresentedPassword
from domain.principal import Principal
from projections.sessions import SESSIONS

_COLUMNS: Mapping[str, Callable[[PrincipalView], object]] = {
    "subject": lambda principal: principal.subject,
    "roles": lambda principal: principal.roles,
    "active": lambda principal: principal.active,
    "version": lambda principal: principal.version,
    "registered": lambda principal: principal.registered_at,
    "changed": lambda principal: principal.changed_at,
}


@click.group()
def principal() -> None:
    """Register principals: the owners on whose authority clients act."""


@principal.command(
    epilog=examples(
        "grantledger principal create alice --role admin",
        "grantledger principal create bob --role user --reason HR-102 --json",
    )
)
@click.argument("subject")
@click.option("--role", "roles", multiple=True, help="Of the catalogue; may be repeated")
@reason_option
@json_option
@data_dir_option
def create(*, subject: str, roles: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Make a principal known, by an opaque subject id: no name, no address."""
    wanted = NewPrincipal(subject=subject, roles=roles)

    async def work(service: Service) -> PrincipalView:
        registered = await principals.register(
            wanted.subject,
            wanted.roles,
            service=service,
            provenance=by_operator(service, reason),
        )
        return PrincipalView.of(registered)

    _print(with_service(work), as_json=as_json)


@principal.command(
    epilog=examples(
        "grantledger principal show alice", "grantledger principal show alice --as-of 2026-03-03"
    )
)
@click.argument("subject")
@as_of_option
@json_option
@data_dir_option
def show(*, subject: str, as_of: str | None, as_json: bool) -> None:
    """Show one principal, now or as of a moment."""

    async def work(service: Service) -> Principal | None:
        return service.directory.principal(subject)

    past = as_of is not None
    found = (
        from_past(as_of, lambda it: it.principal(subject), what=f"principal {subject}")
        if past
        else read_by_service(work, reads=f"principal {subject}")
    )
    if found is None:
        raise NotFound(f"no such principal{' at that moment' if past else ''}: {subject}")
    _print(PrincipalView.of(found), as_json=as_json)


@principal.command(
    "list",
    epilog=examples(
        "grantledger principal list",
        "grantledger principal list --json",
        "grantledger principal list --as-of -90d",
    ),
)
@as_of_option
@json_option
@data_dir_option
def list_principals(*, as_of: str | None, as_json: bool) -> None:
    """List all principals, deactivated ones too, now or as of a moment."""

    async def work(service: Service) -> list[Principal]:
        return list(service.directory.principals())

    found = (
        read_by_service(work, reads="principals")
        if as_of is None
        else from_past(as_of, lambda it: it.principals(), what="principals")
    )
    views = [PrincipalView.of(one) for one in found]
    print_rows(views, _COLUMNS, as_json=as_json, empty="there are no principals yet")


@principal.command(
    epilog=examples(
        "grantledger principal roles alice user", "grantledger principal roles alice --none"
    )
)
@click.argument("subject")
@click.argument("wanted", metavar="[ROLE]...", nargs=-1)
@click.option("--none", is_flag=True, help="Take all roles away")
@reason_option
@json_option
@data_dir_option
def roles(*, subject: str, wanted: tuple[str, ...], none: bool, reason: str, as_json: bool) -> None:
    """Replace the roles of a principal by those that are named."""
    if none == bool(wanted):
        raise click.UsageError("name the roles, or give --none")

    async def work(service: Service) -> PrincipalView:
        changed = await principals.assign_roles(
            subject, wanted, service=service, provenance=by_operator(service, reason)
        )
        return PrincipalView.of(changed)

    _print(with_service(work), as_json=as_json)


@principal.command(epilog=examples("grantledger principal deactivate alice --reason 'left'"))
@click.argument("subject")
@reason_option
@json_option
@data_dir_option
def deactivate(*, subject: str, reason: str, as_json: bool) -> None:
    """Withdraw a principal's authority, and end its sessions and refresh tokens for good."""
    _set_active(subject, active=False, reason=reason, as_json=as_json)


@principal.command(epilog=examples("grantledger principal reactivate alice"))
@click.argument("subject")
@reason_option
@json_option
@data_dir_option
def reactivate(*, subject: str, reason: str, as_json: bool) -> None:
    """Give a deactivated principal its authority back; what ended stays ended."""
    _set_active(subject, active=True, reason=reason, as_json=as_json)


def _set_active(subject: str, *, active: bool, reason: str, as_json: bool) -> None:
    async def work(service: Service) -> PrincipalView:
        provenance = by_operator(service, reason)
        if active:
            changed = await principals.set_active(
                subject, active=True, service=service, provenance=provenance
            )
        else:
            changed = await end_of_person(subject, service=service, provenance=provenance)
        return PrincipalView.of(changed)

    _print(with_service(work), as_json=as_json)


def _print(view: PrincipalView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print_fields({name: value(view) for name, value in _COLUMNS.items()})


@principal.command(
    "set-login",
    epilog=examples(
        "grantledger principal set-login alice --login alice@example.com",
        "printenv PASSWORD | grantledger principal set-login alice --password-stdin",
    ),
)
@click.argument("subject")
@click.option("--login", help="The name it logs in with; the names it has stay")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@reason_option
@json_option
@data_dir_option
def set_login(
    *, subject: str, login: str | None, password_stdin: bool, reason: str, as_json: bool
) -> None:
    """Let a principal log in with a name and a password, which is asked for and never shown.

    Another password than before ends the sessions of the principal.
    """
    if password_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True)

    async def work(service: Service) -> PrincipalWithLogin:
        with keeping_up(service.database_url, SESSIONS):
            return await person_logins.set_login(
                subject,
                login,
                PresentedPassword(typed),
                service=service,
                provenance=by_operator(service, reason),
            )

    _print_login(with_service(work), as_json=as_json)


@principal.command("forget-login", epilog=examples("grantledger principal forget-login alice"))
@click.argument("subject")
@json_option
@data_dir_option
def forget_login(*, subject: str, as_json: bool) -> None:
    """Erase login names, password and passkeys of a principal: none of it is in the log.

    Its sessions end.
    """

    async def work(service: Service) -> PrincipalWithLogin:
        with keeping_up(service.database_url, SESSIONS):
            return await person_logins.forget_login(
                subject, service=service, provenance=by_operator(service, "login forgotten")
            )

    _print_login(with_service(work), as_json=as_json)


def _print_login(view: PrincipalWithLogin, *, as_json: bool) -> None:
    _print(view, as_json=as_json)
    if view.sessions_ended and not as_json:
        click.echo(f"sessions ended: {view.sessions_ended}", err=True)


@principal.command("link", epilog=examples("grantledger principal link alice 248289761001"))
@click.argument("subject")
@click.argument("upstream_subject")
@reason_option
@json_option
@data_dir_option
def link(*, subject: str, upstream_subject: str, reason: str, as_json: bool) -> None:
    """Let an identity at the upstream provider log a principal in, by its `sub` there."""

    async def work(service: Service) -> PrincipalView:
        changed = await account.link_identity(
            subject,
            upstream_subject,
            issuer=service.settings.upstream_issuer,
            service=service,
            provenance=by_operator(service, reason),
        )
        return PrincipalView.of(changed)

    _print(with_service(work), as_json=as_json)
