"""The duty that disables clients nobody uses, on a real log with its real read model."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.composition import Service
from api.registration_parts import disable_unused_clients
from application.settings import load_settings
from domain.client import Client
from domain.client_configuration import ClientConfiguration, Registration
from domain.provenance import Provenance
from tests.builders import CATALOGUE
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording, token_now


def a_stranger(client_id: str, *, days: float) -> Client:
    """Return a client that registered itself so many days ago."""
    facts: dict[str, Any] = {"client_id": client_id, "registration": Registration(source="dynamic")}
    at = datetime.now(UTC) - timedelta(days=days)
    scopes = ("service", "mcp", "user")
    return Client.register(
        ClientConfiguration(**facts, scopes=scopes),
        catalogue=CATALOGUE,
        provenance=Provenance(at, "req_1"),
    )


@pytest.mark.parametrize("days", [30, 0])
async def test_who_is_disabled(database_url: str, tmp_path: Path, days: int) -> None:
    """The old that never got a token, once the read model holds all; nobody where it is off."""
    used, unused, young = (
        a_stranger("used", days=40),
        a_stranger("unused", days=40),
        a_stranger("young", days=20),
    )
    settings = load_settings(data_dir=tmp_path, registration_unused_days=days)
    with Recording(database_url) as recording:
        recording.record(used, unused, young)
        recording.record(token_now(used))
    catch_up(database_url)
    async with Service(settings, database_url) as service:
        await disable_unused_clients(service)
        await service.directory.refresh()
        enabled = {one.client_id: one.enabled for one in service.directory.clients()}
        found = await service.log.load(Client.stream("unused"))

    assert enabled == {"used": True, "unused": days == 0, "young": True}
    assert found.disabled_by == ("system" if days else "")
