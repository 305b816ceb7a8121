"""The console's client: what it is registered with, and what follows the settings."""

from application.administration import console_client
from application.administration.console_client import CONSOLE_CLIENT
from domain.client import Client
from domain.client_configuration import Audiences
from tests.application.service import FakeService
from tests.builders import AT_NOON, later

BEFORE, ISSUER = "https://old.example", "https://auth.example"


async def test_its_tokens_are_for_management_alone(service: FakeService) -> None:
    """A client of before, whose tokens were for the issuer, is brought up to it."""
    await console_client.ensure(issuer=BEFORE, audience=BEFORE, service=service, provenance=AT_NOON)
    await console_client.ensure(
        issuer=ISSUER, audience=f"{ISSUER}/management", service=service, provenance=later(1)
    )
    client = service.log.folded(Client.stream(CONSOLE_CLIENT))
    alone = (f"{ISSUER}/management",)

    assert client.audiences == Audiences(allowed=alone, default=alone)
    assert client.redirects.redirect_uris == (f"{ISSUER}/console/callback",)
