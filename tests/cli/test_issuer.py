"""`grantledger issuer ...`: trust, list, try and remove other authorization servers."""

import json
from pathlib import Path

import pytest

from application.settings import SettingsError, load_settings
from tests.application.foreign_issuer import foreign_issuer
from tests.cli.in_process import CommandLine

ISSUER = "https://id.example"


def test_add_list_remove(cli: CommandLine) -> None:
    """An issuer is trusted on the terms that were given, on others after that, then not at all."""
    options = ("--scope", "user", "--scope", "mcp", "--default-scope", "mcp")
    added = cli.json("issuer", "add", ISSUER, *options, "--subject-claim", "email")
    changed = cli.json("issuer", "add", ISSUER, "--scope", "mcp", "--algorithm", "EdDSA")
    same = cli.json("issuer", "add", ISSUER, "--scope", "mcp", "--algorithm", "EdDSA")
    listed = cli.succeed("issuer", "list")
    removed = cli.json("issuer", "remove", ISSUER, "--reason", "breach")
    again = cli.json("issuer", "remove", ISSUER)

    assert added["terms"]["scopes"] == ["user", "mcp"]
    assert (added["terms"]["subject_claim"], added["version"]) == ("email", 1)
    assert (changed["terms"]["algorithms"], changed["version"]) == (["EdDSA"], 2)
    assert same["version"] == 2
    assert ISSUER in listed
    assert (removed["trusted"], removed["version"], again["version"]) == (False, 3, 3)


def test_keys_are_tried(cli: CommandLine) -> None:
    """What the issuer publishes is fetched, and shown or complained about."""
    with foreign_issuer() as issuer:
        cli.succeed("issuer", "add", issuer.name)
        found = cli.json("issuer", "test", issuer.name)
        table = cli.succeed("issuer", "test", issuer.name)
        cli.succeed("issuer", "add", issuer.name, "--algorithm", "EdDSA")
        none = cli.refused("issuer", "test", issuer.name, code=1)
        issuer.provider.away = {"/jwks"}
        away = cli.refused("issuer", "test", issuer.name, code=1)

    assert (found["keys"], found["problem"]) == ([{"kid": "key-1", "algorithm": "ES256"}], None)
    assert "key-1" in table
    assert "no key that the terms allow" in none
    assert "status 503" in away


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "http://id.example"),
        ("add", ISSUER, "--scope", "nonsense"),
        ("add", ISSUER, "--create"),
        ("add", ISSUER, "--create", "--subject-prefix", "id-", "--role", "nonsense"),
        ("add", "http://127.0.0.1:8000"),
        ("remove", ISSUER),
        ("test", ISSUER),
    ],
)
def test_refusals(unchanged: CommandLine, arguments: tuple[str, ...]) -> None:
    """What cannot be is refused in one line, and nothing is trusted after it."""
    result = unchanged.run("issuer", *arguments)

    assert result.exit_code in (1, 2)
    assert unchanged.json("issuer", "list") == []


def test_the_file_of_the_settings(tmp_path: Path) -> None:
    """A list of terms; what is no such list is said with the name of the setting."""
    path = tmp_path / "issuers.json"
    path.write_text(json.dumps([{"issuer": ISSUER, "scopes": ["mcp"]}]))
    settings = load_settings(trusted_issuers_file=path)

    assert [terms.issuer for terms in settings.trusted_issuers()] == [ISSUER]
    for content in ("{}", "[{}]", '[{"issuer": "http://id.example"}]', "x"):
        path.write_text(content)
        with pytest.raises(SettingsError, match="GRANTLEDGER_TRUSTED_ISSUERS_FILE: "):
            settings.trusted_issuers()
    path.unlink()
    with pytest.raises(SettingsError, match="GRANTLEDGER_TRUSTED_ISSUERS_FILE: No such file"):
        settings.trusted_issuers()


def test_who_may_act(cli: CommandLine) -> None:
    """Named, anybody or nobody; one of them has to be said."""
    named = cli.json("client", "set-delegation", "demo", "--may-act", "a", "--may-act", "b")
    nobody = cli.json("client", "set-delegation", "demo", "--nobody")
    anybody = cli.json("client", "set-delegation", "demo", "--anybody", "--impersonation")
    created = cli.json("client", "create", "shop", "--may-act", "agent")
    shown = cli.succeed("client", "show", "shop")

    assert named["delegation"] == {"may_act": ["a", "b"], "impersonation": False}
    assert nobody["delegation"]["may_act"] == []
    assert anybody["delegation"] == {"may_act": None, "impersonation": True}
    assert created["delegation"]["may_act"] == ["agent"]
    assert "may_act=agent" in shown
    for options in ((), ("--nobody", "--anybody"), ("--nobody", "--may-act", "a")):
        assert cli.run("client", "set-delegation", "demo", *options).exit_code == 2
