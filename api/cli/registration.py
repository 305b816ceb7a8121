"""`grantledger registration token ...`: let others register clients (RFC 7591)."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import rich_click as click

from api.cli.options import data_dir_option, examples, json_option, reason_option
from api.cli.running import by_operator, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.registration_views import InitialAccessView, InitialAccessWithToken
from application.administration import initial_access
from domain.initial_access import MAX_USES

_COLUMNS: Mapping[str, Callable[[InitialAccessView], object]] = {
    "token": lambda access: access.access_id,
    "usable": lambda access: access.usable,
    "uses": lambda access: f"{len(access.clients)} of {access.max_uses}",
    "expires": lambda access: access.expires_at,
    "revoked": lambda access: access.revoked,
    "issued": lambda access: access.issued_at,
    "clients": lambda access: access.clients,
}


@click.group()
def registration() -> None:
    """Let clients register themselves: who may, and who did."""


@registration.group()
def token() -> None:
    """Initial access tokens: each lets its holder register clients."""


@token.command(
    epilog=examples(
        "grantledger registration token create",
        "grantledger registration token create --uses 20 --lifetime 604800 --reason 'partner X'",
    )
)
@click.option(
    "--uses",
    type=click.IntRange(1, MAX_USES),
    default=1,
    show_default=True,
    help="How many clients may be registered with it",
)
@click.option(
    "--lifetime",
    type=click.IntRange(1, int(initial_access.MAX_LIFETIME.total_seconds())),
    default=int(initial_access.DEFAULT_LIFETIME.total_seconds()),
    show_default=True,
    metavar="SECONDS",
    help="How long it may be used",
)
@reason_option
@json_option
@data_dir_option
def create(*, uses: int, lifetime: int, reason: str, as_json: bool) -> None:
    """Issue a token. It is printed once and cannot be shown again."""

    async def work(service: Service) -> InitialAccessWithToken:
        access, made = await initial_access.issue(
            lifetime=timedelta(seconds=lifetime),
            max_uses=uses,
            service=service,
            provenance=by_operator(service, reason),
        )
        return InitialAccessWithToken.with_token(access, made, service.clock.now())

    view = with_service(work)
    _print(view, as_json=as_json)
    if not as_json:
        click.echo(f"\ninitial_access_token: {view.initial_access_token}")
        click.echo("Keep it now: it is shown this once and kept nowhere.")


@token.command(
    "list",
    epilog=examples(
        "grantledger registration token list", "grantledger registration token list --json"
    ),
)
@json_option
@data_dir_option
def list_tokens(*, as_json: bool) -> None:
    """List all tokens, ended ones too, with the clients that were registered with each."""

    async def work(service: Service) -> list[InitialAccessView]:
        now = service.clock.now()
        return [InitialAccessView.of(one, now) for one in service.directory.initial_accesses()]

    print_rows(with_service(work), _COLUMNS, as_json=as_json, empty="no token was issued yet")


@token.command(
    epilog=examples("grantledger registration token revoke 4f1c0d2e9a7b6c35 --reason leaked")
)
@click.argument("access_id", metavar="TOKEN")
@reason_option
@json_option
@data_dir_option
def revoke(*, access_id: str, reason: str, as_json: bool) -> None:
    """Let nobody register with a token any more; its clients stay."""

    async def work(service: Service) -> InitialAccessView:
        access = await initial_access.revoke(
            access_id, service=service, provenance=by_operator(service, reason)
        )
        return InitialAccessView.of(access, service.clock.now())

    _print(with_service(work), as_json=as_json)


def _print(view: InitialAccessView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print_fields({name: value(view) for name, value in _COLUMNS.items()})
