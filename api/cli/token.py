"""`grantledger token ...`: try the running service as a client would, over HTTP; look at tokens."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt
import rich_click as click

from api.cli.options import (
    as_of_option,
    data_dir_option,
    examples,
    json_option,
    settings_in_force,
)
from api.cli.outcomes import Refused
from api.cli.over_http import post_form
from api.cli.past import from_past
from api.cli.tables import print_fields, print_json
from api.first_run import read_bootstrap
from api.past_views import TokenView
from api.token_endpoint import TOKEN_PATH
from application.administration.bootstrap import DEMO_CLIENT
from application.grants.client_credentials import GRANT_TYPE
from application.settings import Settings, SettingsError

_MOMENTS = frozenset({"exp", "iat", "nbf"})


@click.group()
def token() -> None:
    """Get a token from the running service, for trying; show what a token was and is good for."""


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


@token.command(
    epilog=examples(
        "grantledger token show 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a",
        "grantledger token show 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a --as-of 2026-03-03T12:00:00Z",
        "grantledger token show 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a --json | jq .state",
    )
)
@click.argument("jti", type=click.UUID)
@as_of_option
@json_option
@data_dir_option
def show(*, jti: UUID, as_of: str | None, as_json: bool) -> None:
    """Show a token: what was issued to whom, by which configuration, why it was narrowed, where it
    descends from, and whether it was good for anything, now or as of a moment.
    """
    found = from_past(as_of, lambda past: past.token(jti), what=f"token {jti}")
    if found is None:
        raise Refused(f"there was no such token at that moment: {jti}")
    view = TokenView.of(found)
    if as_json:
        print_json(view)
        return
    print_fields(_told(view))


def _told(view: TokenView) -> dict[str, object]:
    revoked = {"at": view.revoked_at, "by": view.revoked_by, "why": view.revoked_why}
    withheld = {
        "by client": view.withheld_by_client,
        "by owner": view.withheld_by_owner,
        "by subject token": view.withheld_by_subject_token,
    }
    return {
        "token": view.jti,
        "state": view.state if view.because is None else f"{view.state} ({view.because})",
        "revoked": revoked if view.revoked_at else None,
        "client": f"{view.client_id}, version {view.client_version}",
        "subject": view.subject,
        "owner version": view.owner_version,
        "grant type": view.grant_type,
        "requested": view.requested_scope,
        "granted": view.scope,
        "withheld": {name: scopes for name, scopes in withheld.items() if scopes},
        "audience": view.audience,
        "issued": view.issued_at,
        "expires": view.expires_at,
        "form": view.form,
        "signed by": f"{view.kid} ({view.algorithm})",
        "authenticated by": f"{view.authentication_method} {view.credential_id}".strip(),
        "policy": view.policy,
        "roles": view.roles,
        "session": view.session_id,
        "family": view.family_id,
        "bound to": view.confirmation,
        "actors": " < ".join(view.actors),
        "lineage": " > ".join((*view.lineage, view.jti)),
        "position": view.position,
        "request": view.request_id,
    }


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
