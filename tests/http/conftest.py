"""One service for the tests over HTTP: a process of its own on the tests' PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.running_service import running_service
from tests.http.live import Live
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def live(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two workers, so that no answer rests on what one process remembers."""
    data_dir: Path = tmp_path_factory.mktemp("live")
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)
