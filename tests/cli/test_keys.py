"""`grantledger keys ...`: there is always a next key, and a rotation waits until it is known."""

import base64
import json

import pytest

from application.secrets_file import SECRETS_FILE
from tests.cli.in_process import CommandLine


def test_list(unchanged: CommandLine) -> None:
    """After the first run one key signs and the next is published; no private part is printed."""
    listed = unchanged.json("keys", "list")
    table = unchanged.succeed("keys", "list")

    assert sorted(key["state"] for key in listed) == ["active", "generated"]
    assert all("d" not in key["public_jwk"] for key in listed)
    assert listed[0]["kid"] in table


def test_rotation_waits_until_next_key_is_known(cli: CommandLine) -> None:
    """A next key that consumers may not have seen yet does not sign, and the line says when."""
    cli.succeed("keys", "rotate", "--force")  # makes a next key of this moment
    line = cli.refused("keys", "rotate", code=1)

    assert "consumers cache the key set for 300 s" in line


def test_forced_rotation(cli: CommandLine) -> None:
    """A forced rotation lets the next key sign, revokes the active one, and makes a new next."""
    before = {key["state"]: key["kid"] for key in cli.json("keys", "list")}
    rotated = cli.json("keys", "rotate", "--force", "--reason", "leaked")
    after = {key["state"]: key["kid"] for key in cli.json("keys", "list")}

    assert rotated["kid"] == before["generated"] == after["active"]
    assert after["revoked"] == before["active"]
    assert after["generated"] not in before.values()


def test_rotation_as_a_table(cli: CommandLine) -> None:
    """The key that signs now is printed as a table too."""
    assert "active" in cli.succeed("keys", "rotate", "--force")


def test_rotation_of_unused_algorithm(unchanged: CommandLine) -> None:
    """An algorithm that the deployment does not use has no key to rotate."""
    assert "there is no next RS256 key" in unchanged.refused(
        "keys", "rotate", "--algorithm", "RS256", code=1
    )


def test_revocation(cli: CommandLine) -> None:
    """A leaked key is revoked by its kid, the next one signs, and the record says why."""
    before = {key["state"]: key["kid"] for key in cli.json("keys", "list")}
    done = cli.json("keys", "revoke", before["active"], "--reason", "in a core dump")
    after = {key["state"]: key["kid"] for key in cli.json("keys", "list")}
    told = cli.succeed("replay", "--type", "key.revoked")

    assert (done["kid"], done["state"]) == (before["active"], "revoked")
    assert after["active"] == before["generated"]
    assert after["generated"] not in before.values()
    assert "in a core dump" in told


def test_revocation_of_a_key_that_is_not_there(unchanged: CommandLine) -> None:
    """A kid that is mistyped revokes nothing."""
    assert "no such key: nothing" in unchanged.refused("keys", "revoke", "nothing", code=1)


def test_nothing_to_wrap_anew(unchanged: CommandLine) -> None:
    """Under one and the same master key there is nothing to do, and the line says so."""
    result = unchanged.run("keys", "rewrap")

    assert result.exit_code == 0
    assert "under the present master key already" in result.stderr


def test_wrapping_anew(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a new master key in front every key is wrapped by it; then the old one can go."""
    secrets = json.loads((cli.data_dir / SECRETS_FILE).read_text())
    new = f"new:{base64.b64encode(b'n' * 32).decode()}"
    monkeypatch.setenv("GRANTLEDGER_MASTER_KEYS", f"{new},{secrets['master_keys']}")
    kids = {key["kid"] for key in cli.json("keys", "list")}
    done = cli.json("keys", "rewrap", "--reason", "a new year")
    monkeypatch.setenv("GRANTLEDGER_MASTER_KEYS", new)

    assert set(done) == kids
    assert cli.json("keys", "rotate", "--force")["state"] == "active"
