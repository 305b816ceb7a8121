"""The services of the tests over HTTP: processes of their own on the tests' PostgreSQL server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.running_service import running_service
from tests.http.live import DETAILS, MAX_AGE, Live
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def live(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two workers, so that no answer rests on what one process remembers."""
    data_dir: Path = tmp_path_factory.mktemp("live")
    # Everybody here has one address, and some of them guess thousands of times.
    settings: dict[str, Any] = {
        "GRANTLEDGER_RATE_LIMIT_FAILED_AUTHENTICATION_PER_ADDRESS": "",
        "GRANTLEDGER_COUNTING_SECONDS": "2",  # nobody waits a minute for what was counted
    }
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url, **settings) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


@pytest.fixture(scope="session")
def generous(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with much on that is off by default: nonces, authorization details, registration,
    recent logins at protected endpoints.
    """
    data_dir: Path = tmp_path_factory.mktemp("generous")
    types = data_dir / "types.json"
    types.write_text(json.dumps(DETAILS))
    settings: dict[str, Any] = {
        "GRANTLEDGER_DPOP_NONCE_SECONDS": "300",
        "GRANTLEDGER_PROTECTED_MAX_AGE": str(MAX_AGE),
        "GRANTLEDGER_AUTHORIZATION_DETAILS_FILE": str(types),
        "GRANTLEDGER_REGISTRATION": "open",
        "GRANTLEDGER_REGISTRATION_SCOPES": "openid,mcp",
        "GRANTLEDGER_REGISTRATION_GRANT_TYPES": "authorization_code,client_credentials",
    }
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url, **settings) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)
