"""`grantledger keys ...`: the keys that sign tokens."""

from collections.abc import Callable, Mapping

import rich_click as click

from api.cli.options import as_of_option, data_dir_option, examples, json_option, reason_option
from api.cli.past import from_past
from api.cli.running import by_operator, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.views import KeyView
from application.administration import signing_keys
from domain.client_configuration import SIGNING_ALGORITHMS
from domain.signing_key import SigningKey

_COLUMNS: Mapping[str, Callable[[KeyView], object]] = {
    "kid": lambda key: key.kid,
    "algorithm": lambda key: key.algorithm,
    "state": lambda key: key.state,
    "generated": lambda key: key.generated_at,
    "changed": lambda key: key.changed_at,
    "verifies until": lambda key: key.verify_until,
}


@click.group()
def keys() -> None:
    """List and rotate the keys that sign tokens."""


@keys.command(
    "list",
    epilog=examples(
        "grantledger keys list", "grantledger keys list --json", "grantledger keys list --as-of -7d"
    ),
)
@as_of_option
@json_option
@data_dir_option
def list_keys(*, as_of: str | None, as_json: bool) -> None:
    """List all signing keys, retired ones too, now or as of a moment. There is always a next one,
    published already.
    """

    async def work(service: Service) -> list[SigningKey]:
        return list(service.directory.keys())

    found = (
        with_service(work)
        if as_of is None
        else from_past(as_of, lambda past: past.keys(), what="keys")
    )
    print_rows(
        [KeyView.of(key) for key in found],
        _COLUMNS,
        as_json=as_json,
        empty="there are no keys yet: the first `grantledger serve` makes them",
    )


@keys.command(
    epilog=examples(
        "grantledger keys rotate --reason 'every 90 days'",
        "grantledger keys rotate --algorithm RS256",
        "grantledger keys rotate --force --reason 'the key leaked'",
    )
)
@click.option(
    "--algorithm",
    type=click.Choice(SIGNING_ALGORITHMS),
    help="Which key; the deployment's first algorithm if left out",
)
@click.option("--force", is_flag=True, help="Do not wait until consumers know the next key")
@reason_option
@json_option
@data_dir_option
def rotate(*, algorithm: str | None, force: bool, reason: str, as_json: bool) -> None:
    """Let the next key sign and retire the active one; what it signed still verifies."""

    async def work(service: Service) -> KeyView:
        key = await signing_keys.rotate(
            algorithm or service.settings.signing_algorithms[0],
            service.directory.keys(),
            force=force,
            service=service,
            provenance=by_operator(service, reason),
        )
        return KeyView.of(key)

    view = with_service(work)
    if as_json:
        print_json(view)
    else:
        print_fields({name: value(view) for name, value in _COLUMNS.items()})
