"""Fixtures of the command line's tests."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from api.composition import Service
from api.first_run import prepare
from application.settings import load_settings
from tests.cli.in_process import CommandLine
from tests.cli.running_service import RunningService, running_service
from tests.postgres import Postgres


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_this_machine() -> Iterator[None]:
    """Take away what the environment of whoever runs the tests would decide."""
    with pytest.MonkeyPatch.context() as patched:
        for name in os.environ:
            if name.startswith("GRANTLEDGER_") or name == "DATABASE_URL":
                patched.delenv(name)
        patched.setenv("COLUMNS", "200")
        yield


@pytest.fixture
def fresh(database_url: str, tmp_path: Path) -> CommandLine:
    """The command line on a migrated database without an event."""
    return _command_line(database_url, tmp_path)


@pytest.fixture
def cli(fresh: CommandLine) -> CommandLine:
    """The command line on a database after its first run: two clients, an owner and keys."""
    return _after_first_run(fresh)


@pytest.fixture(scope="session")
def unchanged(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CommandLine]:
    """The same, shared by all tests that change nothing."""
    with postgres.database() as url:
        yield _after_first_run(_command_line(url, tmp_path_factory.mktemp("unchanged")))


@pytest.fixture(scope="session")
def projected(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CommandLine]:
    """The same with an audit trail that is up to date; shared likewise."""
    with postgres.database() as url:
        cli = _after_first_run(_command_line(url, tmp_path_factory.mktemp("projected")))
        cli.succeed("projections", "rebuild", "audit_trail")
        yield cli


def _command_line(database_url: str, directory: Path) -> CommandLine:
    data_dir = directory / "data"
    environment = {
        "GRANTLEDGER_DATABASE_URL": database_url,
        "GRANTLEDGER_DATA_DIR": str(data_dir),
    }
    return CommandLine(data_dir, environment)


def _after_first_run(fresh: CommandLine) -> CommandLine:
    settings = load_settings(data_dir=fresh.data_dir)

    async def first_run() -> None:
        url = fresh.environment["GRANTLEDGER_DATABASE_URL"]
        async with Service(settings, url) as service:
            await prepare(service, by="system")

    asyncio.run(first_run())
    return fresh


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory for a service of its own; the embedded server may run as another user."""
    with TemporaryDirectory(prefix="grantledger-test-") as directory:
        yield Path(directory) / "data"


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    """A service on its first run, in processes of its own, with its own embedded database."""
    with (
        TemporaryDirectory(prefix="grantledger-test-") as directory,
        running_service(Path(directory) / "data") as running,
    ):
        yield running
