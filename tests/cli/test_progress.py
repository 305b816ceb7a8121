"""What takes long shows that it goes on, to a person at a terminal and to nobody else."""

import os
import pty
import subprocess

from tests.cli.in_process import CommandLine
from tests.cli.running_service import COMMAND, clean_environment


def test_rebuild_at_a_terminal(cli: CommandLine) -> None:
    """With a terminal on standard error a rebuild shows its progress there, and only there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "projections", "rebuild", "audit_trail", "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=clean_environment(**cli.environment, TERM="xterm"),
    )
    printed, _ = process.communicate(timeout=30)
    os.close(theirs)
    shown = os.read(ours, 65_536)
    os.close(ours)

    assert b"Rebuilding audit_trail" in shown
    assert b"Rebuilding" not in printed


def test_rebuild_in_a_script(cli: CommandLine) -> None:
    """Without a terminal nothing but the result is printed."""
    result = cli.run("projections", "rebuild", "audit_trail", "--json")

    assert result.stderr == ""
