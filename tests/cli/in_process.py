"""The command line in the test's own process: quick, and enough wherever no process is at stake."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from api.cli.program import program


@dataclass(frozen=True)
class CommandLine:
    """Runs commands against one database and data directory."""

    data_dir: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, **environment: str) -> Result:
        """Return the result of a command, whatever its exit code."""
        with _logging_as_it_was():
            return CliRunner().invoke(
                program, arguments, env={**self.environment, **environment}, prog_name="grantledger"
            )

    def succeed(self, *arguments: str) -> str:
        """Return what a command that must succeed printed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """Return the JSON that a command prints."""
        return json.loads(self.succeed(*arguments, "--json"))

    def refused(self, *arguments: str, code: int) -> str:
        """Return the one line of a command that must end with `code`."""
        result = self.run(*arguments)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        return lines[0]


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
