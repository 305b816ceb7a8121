"""`grantledger token ...`: try the running service as a client would, over HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import rich_click as click

from api.cli.options import data_dir_option, examples, json_option, settings_in_force
from api.cli.over_http import post_form
from api.cli.tables import print_fields, print_json
from api.first_run import read_bootstrap
from api.token_endpoint import TOKEN_PATH
from application.administration.bootstrap import DEMO_CLIENT
from application.grants.client_credentials import GRANT_TYPE
from application.settings import Settings, SettingsError

_MOMENTS = frozenset({"exp", "iat", "nbf"})


@click.group()
def token() -> None:
    """Get a token from the running service, for trying."""


@token.command(
    epilog=examples(
        "grantledger token issue",
        "grantledger token issue --scope mcp --audience http://127.0.0.1:8000 --json",
        "TOKEN=$(grantledger token issue --raw)",
        "GRANTLEDGER_CLIENT_SECRET=... grantledger token issue --client-id billing-agent",
    )
)
@click.option("--client-id", default=DEMO_CLIENT, show_default=True, help="Who asks")
@click.option(
    "--client-secret",
    envvar="GRANTLEDGER_CLIENT_SECRET",
    show_envvar=True,
    help="Its secret; for the first two clients it is read from bootstrap.json",
)
@click.option("--scope", "scopes", multiple=True, help="May be repeated; all it has if left out")
@click.option("--audience", "audiences", multiple=True, help="Where the token will be used")
@click.option("--issuer", metavar="URL", help="The service; the one of bootstrap.json if left out")
@click.option("--raw", is_flag=True, help="Print the token and nothing else")
@json_option
@data_dir_option
def issue(
    *,
    client_id: str,
    client_secret: str | None,
    scopes: tuple[str, ...],
    audiences: tuple[str, ...],
    issuer: str | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Get a token by client_credentials and print what is in it. Its signature is not checked."""
    settings = settings_in_force()
    form = [("grant_type", GRANT_TYPE), *(("audience", name) for name in audiences)]
    if scopes:
        form.append(("scope", " ".join(scopes)))
    answer = post_form(
        f"{_service(settings, issuer)}{TOKEN_PATH}",
        form,
        client_id=client_id,
        client_secret=client_secret or _kept_secret(settings, client_id),
    )
    issued = str(answer["access_token"])
    claims = jwt.decode(issued, options={"verify_signature": False})
    header = jwt.get_unverified_header(issued)
    if raw:
        click.echo(issued)
    elif as_json:
        print_json({**answer, "header": header, "claims": claims})
    else:
        print_fields({**header, **_readable(claims)})
        click.echo(f"\n{issued}")


def _readable(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromtimestamp(value, UTC) if name in _MOMENTS else value
        for name, value in claims.items()
    }


def _service(settings: Settings, issuer: str | None) -> str:
    kept = read_bootstrap(settings) or {}
    return (issuer or str(kept.get("issuer", settings.issuer_url))).rstrip("/")


def _kept_secret(settings: Settings, client_id: str) -> str:
    for entry in (read_bootstrap(settings) or {}).values():
        if isinstance(entry, dict) and entry.get("client_id") == client_id:
            return str(entry["client_secret"])
    raise SettingsError(
        f"the secret of {client_id} is not in {settings.data_dir}: "
        "give --client-secret or GRANTLEDGER_CLIENT_SECRET"
    )
