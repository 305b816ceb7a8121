"""`grantledger issuer ...`: other authorization servers whose tokens count here."""

from collections.abc import Callable, Mapping

import rich_click as click

from api.cli.options import data_dir_option, examples, json_option, reason_option
from api.cli.outcomes import Refused
from api.cli.progress import waiting
from api.cli.running import by_operator, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.views import IssuerView
from application.administration import issuers
from application.administration.issuers import FoundKey, Trial
from application.errors import NotFound
from domain.client_configuration import SIGNING_ALGORITHMS
from domain.trusted_issuer import IssuerTerms

_COLUMNS: Mapping[str, Callable[[IssuerView], object]] = {
    "issuer": lambda issuer: issuer.terms.issuer,
    "trusted": lambda issuer: issuer.trusted,
    "scopes": lambda issuer: issuer.terms.scopes,
    "keys": lambda issuer: issuer.terms.jwks_uri or "discovered",
    "audience": lambda issuer: issuer.terms.audience or "this service",
    "subject": lambda issuer: f"{issuer.terms.subject_prefix}<{issuer.terms.subject_claim}>",
    "creates": lambda issuer: issuer.terms.create_principals,
    "version": lambda issuer: issuer.version,
    "changed": lambda issuer: issuer.changed_at,
}
_KEY_COLUMNS: Mapping[str, Callable[[FoundKey], object]] = {
    "kid": lambda key: key.kid,
    "algorithm": lambda key: key.algorithm,
}


@click.group()
def issuer() -> None:
    """Trust other authorization servers, whose tokens may be exchanged for ours."""


@issuer.command(
    epilog=examples(
        "grantledger issuer add https://id.example --scope user --scope mcp",
        "grantledger issuer add https://id.example --scope user --subject-claim email"
        " --jwks-uri https://keys.id.example/jwks",
        "grantledger issuer add https://id.example --scope user --create --subject-prefix id-"
        " --role user",
    )
)
@click.argument("name", metavar="ISSUER")
@click.option("--jwks-uri", metavar="URL", help="Its keys; discovered if left out")
@click.option(
    "--audience", multiple=True, help="What its tokens must be made for; this service if left out"
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    type=click.Choice(SIGNING_ALGORITHMS),
    help="That it may sign with; all of them if left out",
)
@click.option(
    "--subject-claim", default="sub", show_default=True, help="The claim that names the principal"
)
@click.option("--subject-prefix", default="", help="Put before it to get the principal's name")
@click.option("--create", is_flag=True, help="Register unknown principals on first use")
@click.option("--role", "roles", multiple=True, help="Of principals that are registered so")
@click.option("--scope", "scopes", multiple=True, help="The most that its tokens may pass on")
@click.option(
    "--default-scope", "default_scopes", multiple=True, help="What tokens without scope stand for"
)
@reason_option
@json_option
@data_dir_option
def add(  # noqa: PLR0913  # one argument an option
    *,
    name: str,
    jwks_uri: str | None,
    audience: tuple[str, ...],
    algorithms: tuple[str, ...],
    subject_claim: str,
    subject_prefix: str,
    create: bool,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
    default_scopes: tuple[str, ...],
    reason: str,
    as_json: bool,
) -> None:
    """Trust an issuer on these terms; for one that is trusted they replace the present ones."""
    terms = IssuerTerms(
        issuer=name,
        jwks_uri=jwks_uri,
        audience=audience,
        algorithms=algorithms or SIGNING_ALGORITHMS,
        subject_claim=subject_claim,
        subject_prefix=subject_prefix,
        create_principals=create,
        roles=roles,
        scopes=scopes,
        default_scopes=default_scopes,
    )

    async def work(service: Service) -> IssuerView:
        trusted = await issuers.trust(
            terms, service=service, provenance=by_operator(service, reason)
        )
        return IssuerView.of(trusted)

    _print(with_service(work), as_json=as_json)


@issuer.command(
    "list", epilog=examples("grantledger issuer list", "grantledger issuer list --json")
)
@json_option
@data_dir_option
def list_issuers(*, as_json: bool) -> None:
    """List all issuers, removed ones too."""

    async def work(service: Service) -> list[IssuerView]:
        return [IssuerView.of(found) for found in service.directory.issuers()]

    print_rows(with_service(work), _COLUMNS, as_json=as_json, empty="no issuer is trusted yet")


@issuer.command(epilog=examples("grantledger issuer remove https://id.example --reason 'breach'"))
@click.argument("name", metavar="ISSUER")
@reason_option
@json_option
@data_dir_option
def remove(*, name: str, reason: str, as_json: bool) -> None:
    """Trust an issuer no more: what was issued on its word is void at once."""

    async def work(service: Service) -> IssuerView:
        removed = await issuers.remove(
            name, service=service, provenance=by_operator(service, reason)
        )
        return IssuerView.of(removed)

    _print(with_service(work), as_json=as_json)


@issuer.command(epilog=examples("grantledger issuer test https://id.example"))
@click.argument("name", metavar="ISSUER")
@json_option
@data_dir_option
def test(*, name: str, as_json: bool) -> None:
    """Fetch the keys of a trusted issuer now, and show those that may sign its tokens."""

    async def work(service: Service) -> Trial:
        found = service.directory.issuer(name)
        if found is None:
            raise NotFound(f"no such issuer: {name}")
        return await issuers.test(found.terms, service=service)

    with waiting(f"Asking {name}"):
        trial = with_service(work)
    if as_json:
        print_json(trial)
    elif trial.problem is None:
        print_rows(trial.keys, _KEY_COLUMNS, as_json=False)
    if trial.problem is not None:
        raise Refused(trial.problem)


def _print(view: IssuerView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print_fields({name: value(view) for name, value in _COLUMNS.items()})
