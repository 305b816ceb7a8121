"""`grantledger keys ...`: there is always a next key, and a rotation waits until it is known."""

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
    """A forced rotation lets the next key sign, retires the active one, and makes a new next."""
    before = {key["state"]: key["kid"] for key in cli.json("keys", "list")}
    rotated = cli.json("keys", "rotate", "--force", "--reason", "leaked")
    after = {key["state"]: key["kid"] for key in cli.json("keys", "list")}

    assert rotated["kid"] == before["generated"] == after["active"]
    assert after["retired"] == before["active"]
    assert after["generated"] not in before.values()


def test_rotation_as_a_table(cli: CommandLine) -> None:
    """The key that signs now is printed as a table too."""
    assert "active" in cli.succeed("keys", "rotate", "--force")


def test_rotation_of_unused_algorithm(unchanged: CommandLine) -> None:
    """An algorithm that the deployment does not use has no key to rotate."""
    assert "there is no next RS256 key" in unchanged.refused(
        "keys", "rotate", "--algorithm", "RS256", code=1
    )
