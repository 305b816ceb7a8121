"""`grantledger registration token ...`: issue, list and revoke initial access tokens."""

import asyncio

import pytest

from api.composition import Service
from application.registration import registering
from application.registration.registering import Registered
from application.request_context import RequestContext
from application.settings import load_settings
from domain.provenance import Origin, Provenance
from tests.cli.in_process import CommandLine


def registered(cli: CommandLine, token: str) -> Registered:
    """Register a client with a token, as the service would."""
    settings = load_settings(data_dir=cli.data_dir, registration="initial_access_token")

    async def work() -> Registered:
        async with Service(settings, cli.environment["GRANTLEDGER_DATABASE_URL"]) as service:
            context = RequestContext(Provenance(service.clock.now(), "req_1"), Origin("", ""))
            document = {"redirect_uris": ["https://client.example/cb"]}
            return await registering.register(document, token, context, service)

    return asyncio.run(work())


def test_create_list_revoke(cli: CommandLine) -> None:
    """The token is printed once; the list says who came by it, `client show` by which."""
    text = cli.succeed("registration", "token", "create", "--reason", "partner X")
    made = cli.json("registration", "token", "create", "--uses", "3", "--lifetime", "60")
    client = registered(cli, made["initial_access_token"]).client
    listed = cli.json("registration", "token", "list")
    table = cli.succeed("registration", "token", "list")
    revoked = cli.json("registration", "token", "revoke", made["access_id"])
    again = cli.json("registration", "token", "revoke", made["access_id"])
    shown = cli.succeed("client", "show", client.client_id)

    assert "initial_access_token: gli_" in text
    assert made["initial_access_token"].startswith(f"gli_{made['access_id']}.")
    assert [one["clients"] for one in listed] == [[], [client.client_id]]
    assert "1 of 3" in table
    assert "gli_" not in table
    assert (revoked["revoked"], revoked["usable"], again["revoked"]) == (True, False, True)
    assert f"initial_access_id={made['access_id']}" in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "--uses", "0"), 2),
        (("create", "--lifetime", "0"), 2),
        (("create", "--lifetime", "99999999"), 2),
        (("revoke", "unknown"), 1),
        (("revoke",), 2),
    ],
)
def test_refusals(unchanged: CommandLine, arguments: tuple[str, ...], code: int) -> None:
    """Nothing that is of no use, and nothing that is not there."""
    result = unchanged.run("registration", "token", *arguments)

    assert result.exit_code == code
    assert unchanged.json("registration", "token", "list") == []
