"""`grantledger lineage`: the tree of tokens, drawn and as data."""

import asyncio
from datetime import UTC, datetime

from application.ledger.ledger import Ledger
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE, Delegation
from domain.delegation import Exchange, SubjectToken
from domain.provenance import Provenance
from tests.builders import POLICY, SIGNING, a_client, a_request, a_token, stream_id
from tests.cli.in_process import CommandLine


def exchanged(token: AccessToken, client: Client) -> AccessToken:
    """Return what `client` gets for `token`."""
    return client.exchange_token(
        a_request(token_id=stream_id()),
        Exchange(SubjectToken.of(token)),
        grant_type=TOKEN_EXCHANGE,
        owner=None,
        person=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=Provenance(datetime.now(UTC), "req_4"),
    )


def a_tree(database_url: str) -> list[AccessToken]:
    """Record a token, two that were exchanged for it, and one more for the first, which is cut."""
    agent = a_client(client_id="agent", grant_types=(TOKEN_EXCHANGE,))
    hidden = a_client(
        client_id="hidden",
        grant_types=(TOKEN_EXCHANGE,),
        delegation=Delegation(impersonation=True),
    )
    root = a_token(datetime.now(UTC))
    first, second = exchanged(root, agent), exchanged(root, hidden)
    leaf = exchanged(first, agent)
    now = Provenance(datetime.now(UTC), "req_5")
    first.revoke(by="agent", reason="lost", provenance=now, descendants=True)

    async def record() -> None:
        async with Ledger(database_url) as ledger:
            await ledger.save(root, first, second, leaf)

    asyncio.run(record())
    return [root, first, second, leaf]


def test_the_tree_is_drawn(cli: CommandLine, database_url: str) -> None:
    """Every token has a line with its state, who acts, and what became of it, below its parent."""
    tokens = a_tree(database_url)
    root, first, second, leaf = tokens
    cli.succeed("projections", "rebuild", "delegations")
    cli.succeed("projections", "rebuild", "audit_trail")
    lines = cli.succeed("lineage", str(leaf.id)).splitlines()
    found = cli.json("lineage", str(root.id))

    for token, line in zip((root, first, leaf, second), lines, strict=True):
        assert str(token.id) in line
    assert "live" in lines[0]
    assert "revoked" in lines[1]
    assert "with all below" in lines[1]
    assert "void" in lines[2]
    assert "act: agent < agent" in lines[2]
    assert "impersonation" in lines[3]
    assert lines[2].index(str(leaf.id)) > lines[1].index(str(first.id)) > 0
    assert [(node["depth"], node["state"]) for node in found["nodes"]] == [
        (0, "live"),
        (1, "revoked"),
        (2, "void"),
        (1, "live"),
    ]


def test_unknown_tokens(unchanged: CommandLine) -> None:
    """A token that was never issued is refused in one line; what is no name is wrong usage."""
    unknown = unchanged.run("lineage", str(stream_id()))

    assert unknown.exit_code == 1
    assert "nothing is recorded about the token" in unknown.stderr
    assert unchanged.run("lineage", "nonsense").exit_code == 2
