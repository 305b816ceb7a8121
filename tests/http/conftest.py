"""One service for the tests over HTTP: a process of its own on the tests' PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.running_service import running_service
from tests.http.live import Live
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def live(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two workers, so that no answer rests on what one process remembers."""
    data_dir: Path = tmp_path_factory.mktemp("live")
    # Everybody here has one address, and some of them guess thousands of times.
    unlimited: dict[str, Any] = {"GRANTLEDGER_RATE_LIMIT_FAILED_AUTHENTICATION_PER_ADDRESS": ""}
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url, **unlimited) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)
