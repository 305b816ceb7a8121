"""Every --help has examples, and the examples are commands that there are."""

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from api.cli.program import program
from tests.cli.in_process import CommandLine


def _commands(
    command: click.Command = program, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))
    else:
        yield path, command


COMMANDS = dict(_commands())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_examples(path: tuple[str, ...]) -> None:
    """The help of a command shows an example of it."""
    printed = CliRunner().invoke(program, [*path, "--help"], prog_name="grantledger").output

    assert "Examples:" in printed
    assert f"grantledger {' '.join(path)}" in printed


def _examples(epilog: str | None) -> Iterator[list[str]]:
    for line in (epilog or "").split("\n\n")[1:]:
        _, _, rest = line.rpartition("grantledger ")
        words = shlex.split(rest.rstrip(")"), comments=False)
        yield words[
            : next((i for i, word in enumerate(words) if word in ("|", "||", ">")), len(words))
        ]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_are_understood(path: tuple[str, ...]) -> None:
    """The arguments of every example are ones that its command takes."""
    command = COMMANDS[path]
    for words in _examples(command.epilog):
        context = command.make_context(path[-1], words[len(path) :])

        assert words[: len(path)] == list(path)
        assert context.params.keys() <= {parameter.name for parameter in command.params}


def test_issue_names_these_commands() -> None:
    """The commands that operators were promised are all there."""
    promised = {
        *("serve", "migrate", "status", "token issue", "keys list", "keys rotate"),
        *(f"client {name}" for name in ("create", "show", "list", "disable", "enable")),
        *("client rotate-secret", "client set-scopes", "audit tail", "audit show"),
        *(f"principal {name}" for name in ("create", "show", "roles", "deactivate")),
        *(f"projections {name}" for name in ("status", "rebuild", "verify", "run")),
    }

    assert promised <= {" ".join(path) for path in COMMANDS}


def test_version(unchanged: CommandLine) -> None:
    """--version names program and version."""
    assert unchanged.succeed("--version").startswith("grantledger, version ")


def test_unknown_command(unchanged: CommandLine) -> None:
    """A command that there is not is wrong usage."""
    assert unchanged.run("explode").exit_code == 2
