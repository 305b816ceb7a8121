"""`grantledger keys ...`: the keys that sign tokens, and the master key that encrypts them."""

from collections.abc import Callable, Mapping

import rich_click as click

from api.cli.options import as_of_option, data_dir_option, examples, json_option, reason_option
from api.cli.past import from_past
from api.cli.progress import counting
from api.cli.running import by_operator, with_service
from api.cli.tables import print_fields, print_json, print_rows
from api.composition import Service
from api.views import KeyView
from application.administration import key_wrapping, signing_keys
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
@click.option(
    "--force",
    is_flag=True,
    help="For a leaked key: revoke it, and do not wait until consumers know the next one",
)
@reason_option
@json_option
@data_dir_option
def rotate(*, algorithm: str | None, force: bool, reason: str, as_json: bool) -> None:
    """Let the next key sign and retire the active one; what it signed still verifies.

    With `--force` the active key is revoked instead: see `grantledger keys revoke`.
    """

    async def work(service: Service) -> KeyView:
        key = await signing_keys.rotate(
            algorithm or service.settings.signing_algorithms[0],
            service.directory.keys(),
            force=force,
            service=service,
            provenance=by_operator(service, reason),
        )
        return KeyView.of(key)

    _print(with_service(work), as_json=as_json)


@keys.command(
    epilog=examples(
        "grantledger keys revoke KID --reason 'found in a core dump'",
        "grantledger keys revoke KID --json",
    )
)
@click.argument("kid")
@reason_option
@json_option
@data_dir_option
def revoke(*, kid: str, reason: str, as_json: bool) -> None:
    """Revoke the leaked key KID: it verifies nothing, and every token that it signed is void.

    `grantledger keys list` shows the kids. The key leaves the key set on every replica within a
    second. Where it signs, the next key signs from now on. Resource servers that verify tokens
    themselves believe it until their copy of the key set ends (GRANTLEDGER_JWKS_MAX_AGE).
    """

    async def work(service: Service) -> KeyView:
        provenance = by_operator(service, reason)
        return KeyView.of(await signing_keys.revoke(kid, service=service, provenance=provenance))

    _print(with_service(work), as_json=as_json)


@keys.command(
    epilog=examples(
        "grantledger keys rewrap --reason 'the master key of 2026'",
        "grantledger keys rewrap --json",
    )
)
@reason_option
@json_option
@data_dir_option
def rewrap(*, reason: str, as_json: bool) -> None:
    """Encrypt the private keys anew, under the first of GRANTLEDGER_MASTER_KEYS.

    Afterwards the older master keys can be taken out of the settings. Where the old master key
    leaked, rotate or revoke the signing keys as well: the thief may have read them.
    """

    async def work(service: Service) -> list[str]:
        with counting("keys") as told:
            return await key_wrapping.rewrap(
                service=service, provenance=by_operator(service, reason), progress=told
            )

    done = with_service(work)
    print_rows(
        done,
        {"kid": lambda kid: kid},
        as_json=as_json,
        empty="all private keys lie under the present master key already",
    )


def _print(view: KeyView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print_fields({name: value(view) for name, value in _COLUMNS.items()})
