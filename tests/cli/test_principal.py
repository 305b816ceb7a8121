"""`grantledger principal ...`: owners, their roles and their authority."""

import getpass

import psycopg
import pytest
from click.testing import CliRunner

from api.cli.program import program
from tests.cli.in_process import CommandLine


def test_life_of_a_principal(cli: CommandLine) -> None:
    """A principal is registered, given other roles, deactivated and reactivated."""
    created = cli.json("principal", "create", "alice", "--role", "user", "--role", "admin")
    assigned = cli.json("principal", "roles", "alice", "user")
    deactivated = cli.json("principal", "deactivate", "alice", "--reason", "left")
    reactivated = cli.json("principal", "reactivate", "alice")

    assert created["roles"] == ["user", "admin"]
    assert assigned["roles"] == ["user"]
    assert (deactivated["active"], reactivated["active"]) == (False, True)


def test_acts_are_recorded_with_user_and_reason(cli: CommandLine, database_url: str) -> None:
    """A deactivation names the user of the system behind it, and the reason that was given."""
    cli.succeed("principal", "deactivate", "owner", "--reason", "left")

    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT state->>'by', state->>'why' FROM grantledger.events"
            " WHERE topic = 'principal.deactivated'"
        ).fetchall()
    assert found == [(f"cli:{getpass.getuser()}", "left")]


def test_show_and_list(unchanged: CommandLine) -> None:
    """The owner of the first run is in the table, in the list and on a page of its own."""
    assert "owner" in unchanged.succeed("principal", "list")
    assert "subject" in unchanged.succeed("principal", "show", "owner")
    assert [one["subject"] for one in unchanged.json("principal", "list")] == ["owner"]


def test_roles_to_none(cli: CommandLine) -> None:
    """All roles go only where that is said."""
    assert cli.json("principal", "roles", "owner", "--none")["roles"] == []
    assert cli.run("principal", "roles", "owner").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("show", "nobody"), 1, "no such principal: nobody"),
        (("deactivate", "nobody"), 1, "no such principal: nobody"),
        (("roles", "owner", "emperor"), 1, "unknown role: emperor"),
        (("create", "owner"), 1, "the principal owner is registered already"),
        (("create", "two words"), 2, "subject: String should match pattern"),
    ],
)
def test_refusals(unchanged: CommandLine, arguments: tuple[str, ...], code: int, line: str) -> None:
    """A refusal is one line with its cause; 1 where a rule says no, 2 where the usage is wrong."""
    assert unchanged.refused("principal", *arguments, code=code).startswith(f"grantledger: {line}")


def test_a_login_is_set_and_erased(cli: CommandLine, database_url: str) -> None:
    """What a person logs in by lies outside the log, and can be erased without a trace."""
    cli.succeed("principal", "create", "carol", "--role", "user")
    typed = CliRunner().invoke(
        program,
        ["principal", "set-login", "carol", "--login", "carol@example.com", "--password-stdin"],
        env=cli.environment,
        input="correct horse battery staple\n",
    )
    assert typed.exit_code == 0, typed.output
    with_login = _rows_of(database_url, "carol")
    cli.succeed("principal", "forget-login", "carol")

    assert with_login == (1, 1)
    assert _rows_of(database_url, "carol") == (0, 0)
    assert "correct horse" not in typed.output
    assert "no such principal: nobody" in cli.refused("principal", "forget-login", "nobody", code=1)


def _rows_of(database_url: str, subject: str) -> tuple[int, int]:
    with psycopg.connect(database_url) as connection:
        logins, passwords = (
            connection.execute(
                f"SELECT count(*) FROM grantledger.{table} WHERE subject = %s",
                (subject,),
            ).fetchone()
            for table in ("logins", "passwords")
        )
    assert logins is not None
    assert passwords is not None
    return logins[0], passwords[0]
