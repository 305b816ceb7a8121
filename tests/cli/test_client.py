"""`grantledger client ...` does what the administration API does, and says who did it."""

import getpass
import json
from pathlib import Path

import psycopg
import pytest

from tests.application.people.upstream_provider import SigningKey
from tests.cli.in_process import CommandLine

RECORDED = (
    "SELECT topic, state->>'by', state->>'why' FROM grantledger.events"
    " WHERE state->>'client_id' = %s ORDER BY position"
)


def test_create_prints_secret_once(cli: CommandLine) -> None:
    """The secret of a new client is printed where it is made, marked, and nowhere afterwards."""
    created = cli.succeed("client", "create", "batch", "--scope", "service mcp", "--owner", "owner")
    shown = cli.succeed("client", "show", "batch")

    assert created.count("gls_") == 1
    assert "client_secret: gls_" in created
    assert "shown this once" in created
    assert "gls_" not in shown


def test_create_json(cli: CommandLine) -> None:
    """--json has the whole client with its secret, in the shape of the administration API."""
    created = cli.json(
        *("client", "create", "orders", "--scope", "mcp", "--scope", "service"),
        *("--default-audience", "https://orders.example", "--serves", "https://orders.example"),
        *("--lifetime", "600", "--algorithm", "ES256", "--name", "Orders"),
    )

    assert created["client_secret"].startswith("gls_")
    assert created["scopes"] == ["service", "mcp"]
    assert created["audiences"]["allowed"] == ["https://orders.example"]
    assert created["tokens"]["lifetime"] == 600


def test_create_public(cli: CommandLine) -> None:
    """A public client gets no secret and cannot use client_credentials."""
    created = cli.json("client", "create", "app", "--public")

    assert created["client_secret"] is None
    assert created["grant_types"] == []


def test_acts_are_recorded_with_user_and_reason(cli: CommandLine, database_url: str) -> None:
    """Every act names the user of the system behind it, and the reason that was given."""
    cli.succeed("client", "create", "batch", "--scope", "mcp", "--reason", "OPS-17")
    cli.succeed("client", "set-scopes", "batch", "service", "--reason", "OPS-18")
    cli.succeed("client", "disable", "batch")

    with psycopg.connect(database_url) as connection:
        found = connection.execute(RECORDED, ("batch",)).fetchall()
    by = f"cli:{getpass.getuser()}"
    assert found == [
        ("client.registered", by, "OPS-17"),
        ("client.secret_added", by, "OPS-17"),
        ("client.scopes_changed", by, "OPS-18"),
        ("client.disabled", by, ""),
    ]


def test_list(unchanged: CommandLine) -> None:
    """The table has a line for every client, and the JSON an object."""
    table = unchanged.succeed("client", "list")
    listed = unchanged.json("client", "list")

    assert "clients:manage audit:read reports:read" in table
    assert [client["client_id"] for client in listed] == ["administration", "demo"]


def test_list_of_nothing(fresh: CommandLine) -> None:
    """Without a client the table gives way to a remark, and the JSON is an empty array."""
    assert "there are no clients yet" in fresh.run("client", "list").stderr
    assert fresh.json("client", "list") == []


def test_control_characters_are_not_shown(cli: CommandLine) -> None:
    """A name cannot drive the terminal of whoever lists the clients, nor style the table."""
    refused = cli.run("client", "create", "evil", "--name", "\x1b[2Jgone")
    cli.succeed("client", "create", "styled", "--name", "[red]gone")

    assert refused.exit_code != 0
    assert "[red]gone" in cli.succeed("client", "list")


def test_disable_and_enable(cli: CommandLine) -> None:
    """A client is disabled and enabled again."""
    disabled = cli.json("client", "disable", "demo")
    enabled = cli.json("client", "enable", "demo")

    assert (disabled["enabled"], enabled["enabled"]) == (False, True)


def test_set_scopes_to_none(cli: CommandLine) -> None:
    """All scopes go only where that is said."""
    assert cli.json("client", "set-scopes", "demo", "--none")["scopes"] == []
    assert cli.run("client", "set-scopes", "demo").exit_code == 2


def test_rotate_secret(cli: CommandLine) -> None:
    """A rotation prints a new secret; the present one ends after the overlap that was given."""
    rotated = cli.json("client", "rotate-secret", "demo", "--overlap", "0")
    shown = cli.succeed("client", "rotate-secret", "demo", "--overlap", "60")

    assert rotated["secrets"][0]["usable_until"] is not None
    assert rotated["secrets"][1]["usable_until"] is None
    assert "client_secret: gls_" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("show", "nobody"), 1, "no such client: nobody"),
        (("disable", "nobody"), 1, "no such client: nobody"),
        (("rotate-secret", "nobody"), 1, "no such client: nobody"),
        (("create", "demo"), 1, "the client demo is registered already"),
        (("create", "batch", "--scope", "everything"), 1, "unknown scope: everything"),
        (("create", "batch", "--owner", "nobody"), 1, "no such principal: nobody"),
        (("create", "a batch"), 2, "client_id: String should match pattern"),
        (("create", "batch", "--lifetime", "0"), 2, "lifetime: Input should be greater"),
    ],
)
def test_refusals(unchanged: CommandLine, arguments: tuple[str, ...], code: int, line: str) -> None:
    """A refusal is one line with its cause; 1 where a rule says no, 2 where the usage is wrong."""
    assert unchanged.refused("client", *arguments, code=code).startswith(f"grantledger: {line}")


def test_authentication_by_key(cli: CommandLine, tmp_path: Path) -> None:
    """Keys come from a file with a set or one key; such a client gets no secret."""
    key = SigningKey.make("ES256").published
    one, many, broken = (tmp_path / name for name in ("one.json", "many.json", "broken.json"))
    one.write_text(json.dumps(key))
    many.write_text(json.dumps({"keys": [key]}))
    broken.write_text("[")
    created = cli.json("client", "create", "robot", "--jwks", str(one))
    changed = cli.json("client", "set-authentication", "demo", "--jwks", str(many))
    shown = cli.succeed("client", "show", "demo")
    uri = "https://demo.example/jwks"
    elsewhere = cli.json("client", "set-authentication", "demo", "--jwks-uri", uri)
    back = cli.json("client", "set-authentication", "demo", "--auth-method", "client_secret_post")

    assert created["client_secret"] is None
    assert created["authentication"]["jwks"] == [key]
    assert changed["authentication"]["method"] == "private_key_jwt"
    assert "key key-1" in shown
    assert elsewhere["authentication"]["jwks_uri"] == uri
    assert back["authentication"] == {
        "method": "client_secret_post",
        "jwks": [],
        "jwks_uri": None,
        "certificate": None,
    }
    for path in (broken, tmp_path / "none.json"):
        failed = cli.run("client", "set-authentication", "demo", "--jwks", str(path))
        assert failed.exit_code == 2
        assert "--jwks: " in failed.output
