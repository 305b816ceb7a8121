"""`grantledger client ...`: register clients and change what they may do."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from typing import Any

import rich_click as click

from api.cli.options import as_of_option, data_dir_option, examples, json_option, reason_option
from api.cli.past import from_past
from api.cli.running import by_operator, read_by_service, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.views import ClientView, ClientWithSecret
from application.administration import clients
from application.errors import NotFound
from domain.client import Client
from domain.client_configuration import (
    AUTHENTICATION_METHODS,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    JWT_BEARER,
    PRIVATE_KEY_JWT,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    SIGNING_ALGORITHMS,
    TLS_CLIENT_AUTH,
    TOKEN_EXCHANGE,
    Audiences,
    Authentication,
    ClientConfiguration,
    ClientType,
    Delegation,
    Redirects,
    TokenPolicy,
)

_MAX_OVERLAP = 30 * 86_400
_METHODS = tuple(method for method in AUTHENTICATION_METHODS if method != "none")
_CERTIFICATE_NAMES = {
    "subject_dn": "Subject of its certificate (tls_client_auth), like CN=agent,O=Example",
    "san_dns": "Or a host name in it",
    "san_uri": "Or a URI",
    "san_ip": "Or an address",
    "san_email": "Or an address of mail",
}


def _certificate_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each kind of name; they come as one argument, `certificate`."""

    @wraps(command)
    def with_certificate(**given: Any) -> None:
        names = {kind: given.pop(f"tls_{kind}") for kind in _CERTIFICATE_NAMES}
        found = [{"kind": kind, "value": value} for kind, value in names.items() if value]
        if len(found) > 1:
            raise click.UsageError("a client is known by one name in its certificate")
        command(**given, certificate=found[0] if found else None)

    for kind, text in reversed(_CERTIFICATE_NAMES.items()):
        option = f"--tls-{kind.replace('_', '-')}"
        with_certificate = click.option(option, metavar="NAME", help=text)(with_certificate)
    return with_certificate


_COLUMNS: Mapping[str, Callable[[ClientView], object]] = {
    "client": lambda client: client.client_id,
    "name": lambda client: client.name,
    "type": lambda client: client.client_type,
    "enabled": lambda client: client.enabled,
    "owner": lambda client: client.owner,
    "scopes": lambda client: client.scopes,
    "changed": lambda client: client.changed_at,
}


@click.group()
def client() -> None:
    """Register clients and change what they may do."""


@client.command(
    epilog=examples(
        "grantledger client create billing-agent --scope service --scope mcp",
        'grantledger client create nightly --scope "user service" --owner alice --reason OPS-17',
        "grantledger client create orders-api --serves https://orders.example --json",
        "grantledger client create shop --scope openid --scope user --scope offline_access"
        " --grant-type authorization_code --grant-type refresh_token"
        " --redirect-uri https://shop.example/callback",
        "grantledger client create agent --scope mcp --dpop-bound",
        "grantledger client create meter --scope mcp --tls-san-dns meter.example"
        " --certificate-bound",
    )
)
@click.argument("client_id")
@click.option("--name", default="", help="What people call it")
@click.option("--scope", "scopes", multiple=True, help="What it may ask for; may be repeated")
@click.option("--owner", metavar="SUBJECT", help="The principal it belongs to")
@click.option("--public", is_flag=True, help="It cannot keep a secret, and gets none")
@click.option("--audience", "allowed", multiple=True, help="Where its tokens may be used")
@click.option("--default-audience", "default", multiple=True, help="`aud` if none is asked for")
@click.option("--serves", multiple=True, help="Audience whose tokens it may introspect")
@click.option("--lifetime", type=int, metavar="SECONDS", help="Of its tokens; 24 h at most")
@click.option("--algorithm", type=click.Choice(SIGNING_ALGORITHMS), help="That signs its tokens")
@click.option("--plugin-id", help="Copied into its tokens")
@click.option("--dpop-bound", is_flag=True, help="It gets no token that is not bound to a key")
@click.option("--certificate-bound", is_flag=True, help="Nor one not bound to its certificate")
@click.option(
    "--grant-type",
    "grant_types",
    multiple=True,
    metavar="NAME",
    help="authorization_code, refresh_token, device_code, token_exchange, jwt_bearer or"
    " client_credentials (the default); may be repeated",
)
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where codes may be sent")
@click.option("--logout-uri", "logout_uris", multiple=True, help="Where a logout may lead")
@click.option("--require-par", is_flag=True, help="Its authorization requests have to be pushed")
@click.option("--may-act", multiple=True, metavar="SUBJECT", help="Who alone may act by its tokens")
@click.option(
    "--impersonation", is_flag=True, help="It exchanges tokens without being named in act"
)
@click.option("--details-type", "details_types", multiple=True, help="Of authorization details")
@click.option("--auth-method", type=click.Choice(_METHODS), help="That alone authenticates it")
@click.option("--jwks", type=click.Path(), help="Its keys, or certificates (x5c); - for stdin")
@click.option("--jwks-uri", metavar="URL", help="Where it publishes them")
@_certificate_options
@reason_option
@json_option
@data_dir_option
def create(  # noqa: PLR0913  # one argument an option
    *,
    client_id: str,
    name: str,
    scopes: tuple[str, ...],
    owner: str | None,
    public: bool,
    allowed: tuple[str, ...],
    default: tuple[str, ...],
    serves: tuple[str, ...],
    lifetime: int | None,
    algorithm: str | None,
    plugin_id: str | None,
    dpop_bound: bool,
    certificate_bound: bool,
    grant_types: tuple[str, ...],
    redirect_uris: tuple[str, ...],
    logout_uris: tuple[str, ...],
    require_par: bool,
    may_act: tuple[str, ...],
    impersonation: bool,
    details_types: tuple[str, ...],
    auth_method: str | None,
    jwks: str | None,
    jwks_uri: str | None,
    certificate: dict[str, str] | None,
    reason: str,
    as_json: bool,
) -> None:
    """Register a client. Its secret is printed once and cannot be shown again."""
    configuration = ClientConfiguration(
        client_id=client_id,
        name=name,
        client_type=ClientType.PUBLIC if public else ClientType.CONFIDENTIAL,
        grant_types=_grant_types(grant_types) or (() if public else (CLIENT_CREDENTIALS,)),
        scopes=_words(scopes),
        audiences=Audiences(allowed=(*allowed, *default), default=default, serves=serves),
        owner=owner,
        tokens=TokenPolicy(
            lifetime=lifetime,
            signing_algorithm=algorithm,
            plugin_id=plugin_id,
            dpop_bound=dpop_bound,
            certificate_bound=certificate_bound,
        ),
        redirects=Redirects(
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=logout_uris,
            require_pushed_authorization_requests=require_par,
        ),
        delegation=Delegation(may_act=may_act or None, impersonation=impersonation),
        authentication=_authentication(auth_method, jwks, jwks_uri, certificate),
        authorization_details_types=details_types,
    )

    async def work(service: Service) -> ClientWithSecret:
        registered, secret = await clients.register(
            configuration, service=service, provenance=by_operator(service, reason)
        )
        return ClientWithSecret.with_secret(registered, secret)

    _print_with_secret(with_service(work), as_json=as_json)


@client.command(
    epilog=examples(
        "grantledger client show demo",
        "grantledger client show demo --json",
        "grantledger client show demo --as-of 2026-03-03T12:00:00Z",
        "grantledger client show demo --as-of -90d --json",
    )
)
@click.argument("client_id")
@as_of_option
@json_option
@data_dir_option
def show(*, client_id: str, as_of: str | None, as_json: bool) -> None:
    """Show one client, now or as of a moment."""

    async def work(service: Service) -> Client | None:
        return service.directory.client(client_id)

    past = as_of is not None
    found = (
        from_past(as_of, lambda it: it.client(client_id), what=f"client {client_id}")
        if past
        else read_by_service(work, reads=f"client {client_id}")
    )
    if found is None:
        raise NotFound(f"no such client{' at that moment' if past else ''}: {client_id}")
    _print(ClientView.of(found), as_json=as_json)


@client.command(
    "list",
    epilog=examples(
        "grantledger client list",
        "grantledger client list --json",
        "grantledger client list --as-of 2026-03-03",
    ),
)
@as_of_option
@json_option
@data_dir_option
def list_clients(*, as_of: str | None, as_json: bool) -> None:
    """List all clients, disabled ones too, now or as of a moment."""

    async def work(service: Service) -> list[Client]:
        return list(service.directory.clients())

    found = (
        read_by_service(work, reads="clients")
        if as_of is None
        else from_past(as_of, lambda past: past.clients(), what="clients")
    )
    views = [ClientView.of(one) for one in found]
    print_rows(views, _COLUMNS, as_json=as_json, empty="there are no clients yet")


@client.command(epilog=examples("grantledger client disable demo --reason 'leaked secret'"))
@click.argument("client_id")
@reason_option
@json_option
@data_dir_option
def disable(*, client_id: str, reason: str, as_json: bool) -> None:
    """Issue nothing to a client any more; its tokens are inactive at once."""
    _change(client_id, clients.Changes(enabled=False), reason=reason, as_json=as_json)


@client.command(epilog=examples("grantledger client enable demo"))
@click.argument("client_id")
@reason_option
@json_option
@data_dir_option
def enable(*, client_id: str, reason: str, as_json: bool) -> None:
    """Issue to a disabled client again."""
    _change(client_id, clients.Changes(enabled=True), reason=reason, as_json=as_json)


@client.command(
    "set-scopes",
    epilog=examples(
        "grantledger client set-scopes demo service mcp",
        "grantledger client set-scopes demo --none",
    ),
)
@click.argument("client_id")
@click.argument("scopes", metavar="[SCOPE]...", nargs=-1)
@click.option("--none", is_flag=True, help="Take all scopes away")
@reason_option
@json_option
@data_dir_option
def set_scopes(
    *, client_id: str, scopes: tuple[str, ...], none: bool, reason: str, as_json: bool
) -> None:
    """Replace the scopes of a client by those that are named."""
    wanted = _words(scopes)
    if none == bool(wanted):
        raise click.UsageError("name the scopes, or give --none")
    _change(client_id, clients.Changes(scopes=wanted), reason=reason, as_json=as_json)


@client.command(
    "set-authentication",
    epilog=examples(
        "grantledger client set-authentication nightly --jwks keys.json",
        "grantledger client set-authentication nightly --jwks-uri https://nightly.example/jwks",
        "grantledger client set-authentication nightly --tls-subject-dn CN=nightly,O=Example",
        "grantledger client set-authentication nightly --jwks keys.json"
        " --auth-method self_signed_tls_client_auth",
        "grantledger client set-authentication nightly --auth-method client_secret_basic",
    ),
)
@click.argument("client_id")
@click.option("--auth-method", type=click.Choice(_METHODS), help="That alone authenticates it")
@click.option("--jwks", type=click.Path(), help="Its keys, or certificates (x5c); - for stdin")
@click.option("--jwks-uri", metavar="URL", help="Where it publishes them")
@_certificate_options
@reason_option
@json_option
@data_dir_option
def set_authentication(
    *,
    client_id: str,
    auth_method: str | None,
    jwks: str | None,
    jwks_uri: str | None,
    certificate: dict[str, str] | None,
    reason: str,
    as_json: bool,
) -> None:
    """Set by what a client proves who it is: one method, or its secret in any way if none."""
    wanted = _authentication(auth_method, jwks, jwks_uri, certificate)
    _change(client_id, clients.Changes(authentication=wanted), reason=reason, as_json=as_json)


@client.command(
    "set-details-types",
    epilog=examples(
        "grantledger client set-details-types shop payment_initiation",
        "grantledger client set-details-types shop --none",
    ),
)
@click.argument("client_id")
@click.argument("types", metavar="[TYPE]...", nargs=-1)
@click.option("--none", is_flag=True, help="Take all types away")
@reason_option
@json_option
@data_dir_option
def set_details_types(
    *, client_id: str, types: tuple[str, ...], none: bool, reason: str, as_json: bool
) -> None:
    """Replace the types of authorization details that a client may use (RFC 9396)."""
    if none == bool(types):
        raise click.UsageError("name the types, or give --none")
    changes = clients.Changes(authorization_details_types=types)
    _change(client_id, changes, reason=reason, as_json=as_json)


@client.command(
    "set-delegation",
    epilog=examples(
        "grantledger client set-delegation shop --may-act billing-agent",
        "grantledger client set-delegation shop --nobody",
        "grantledger client set-delegation shop --anybody --impersonation",
    ),
)
@click.argument("client_id")
@click.option("--may-act", multiple=True, metavar="SUBJECT", help="Who may act by its tokens")
@click.option("--nobody", is_flag=True, help="Nobody may act by its tokens")
@click.option("--anybody", is_flag=True, help="Whoever gets hold of one may, as by default")
@click.option(
    "--impersonation", is_flag=True, help="It exchanges tokens without being named in act"
)
@reason_option
@json_option
@data_dir_option
def set_delegation(
    *,
    client_id: str,
    may_act: tuple[str, ...],
    nobody: bool,
    anybody: bool,
    impersonation: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Set who may act for the subjects of a client's tokens, and whether it is named itself."""
    if bool(may_act) + nobody + anybody != 1:
        raise click.UsageError("give --may-act, --nobody or --anybody")
    delegation = Delegation(may_act=None if anybody else may_act, impersonation=impersonation)
    _change(client_id, clients.Changes(delegation=delegation), reason=reason, as_json=as_json)


@client.command(
    "rotate-secret",
    epilog=examples(
        "grantledger client rotate-secret demo",
        "grantledger client rotate-secret demo --overlap 0 --reason 'leaked secret'",
    ),
)
@click.argument("client_id")
@click.option(
    "--overlap",
    type=click.IntRange(0, _MAX_OVERLAP),
    default=int(clients.DEFAULT_OVERLAP.total_seconds()),
    show_default=True,
    metavar="SECONDS",
    help="How long the present secrets stay usable",
)
@reason_option
@json_option
@data_dir_option
def rotate_secret(*, client_id: str, overlap: int, reason: str, as_json: bool) -> None:
    """Make a new secret, printed once; the present ones end after the overlap."""

    async def work(service: Service) -> ClientWithSecret:
        changed, secret = await clients.rotate_secret(
            client_id,
            overlap=timedelta(seconds=overlap),
            service=service,
            provenance=by_operator(service, reason),
        )
        return ClientWithSecret.with_secret(changed, secret)

    _print_with_secret(with_service(work), as_json=as_json)


def _change(client_id: str, changes: clients.Changes, *, reason: str, as_json: bool) -> None:
    async def work(service: Service) -> ClientView:
        changed = await clients.change(
            client_id, changes, service=service, provenance=by_operator(service, reason)
        )
        return ClientView.of(changed)

    _print(with_service(work), as_json=as_json)


def _authentication(
    method: str | None,
    jwks: str | None,
    jwks_uri: str | None,
    certificate: dict[str, str] | None,
) -> Authentication:
    if method is None and (jwks is not None or jwks_uri is not None):
        method = PRIVATE_KEY_JWT
    if method is None and certificate is not None:
        method = TLS_CLIENT_AUTH
    return Authentication.model_validate(
        {
            "method": method,
            "jwks": _keys(jwks) if jwks else (),
            "jwks_uri": jwks_uri,
            "certificate": certificate,
        }
    )


def _keys(path: str) -> list[object]:
    """Return the keys of a key set, or of a file that holds one key (RFC 7517)."""
    try:
        with click.open_file(path) as file:
            found = json.load(file)
    except OSError as error:
        raise click.UsageError(f"--jwks: {error.strerror}") from None
    except ValueError:
        raise click.UsageError("--jwks: no JSON") from None
    keys = found.get("keys", [found]) if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise click.UsageError("--jwks: no key set")
    return keys


def _words(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take `--scope "a b"` like `--scope a --scope b`: in tokens scopes are separated by spaces."""
    return tuple(word for value in values for word in value.split())


def _print(view: ClientView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    print_fields(
        {
            "client": view.client_id,
            "name": view.name,
            "type": view.client_type,
            "enabled": view.enabled,
            "owner": view.owner,
            "grant types": view.grant_types,
            "scopes": view.scopes,
            "audiences": view.audiences.allowed,
            "default audience": view.audiences.default,
            "serves": view.audiences.serves,
            "authenticates by": _shown_authentication(view.authentication),
            "details types": view.authorization_details_types,
            "delegation": view.delegation.model_dump(exclude_defaults=True),
            "tokens": view.tokens.model_dump(exclude_none=True),
            "secrets": [secret.model_dump(exclude_none=True) for secret in view.secrets],
            "registered by": view.registration.model_dump(exclude_defaults=True) or "administrator",
            "version": view.version,
            "registered": view.registered_at,
            "changed": view.changed_at,
        }
    )


def _shown_authentication(authentication: Authentication) -> object:
    if authentication.certificate is not None:
        return f"{authentication.certificate.kind} {authentication.certificate.value}"
    if authentication.method not in (PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH):
        return authentication.method
    return authentication.jwks_uri or [f"key {key['kid']}" for key in authentication.jwks]


def _print_with_secret(view: ClientWithSecret, *, as_json: bool) -> None:
    _print(view, as_json=as_json)
    if view.client_secret is not None and not as_json:
        click.echo(f"\nclient_secret: {view.client_secret}")
        click.echo("Keep it now: it is shown this once and kept nowhere.")


_LONG = {"device_code": DEVICE_CODE, "token_exchange": TOKEN_EXCHANGE, "jwt_bearer": JWT_BEARER}


def _grant_types(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the wire; the long ones may be typed short."""
    return tuple(_LONG.get(name, name) for name in names)
