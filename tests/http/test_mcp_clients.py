"""The MCP SDKs' own OAuth: discovery from a 401, registration, PKCE and refresh, both languages."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from tests.cli.running_service import running_service
from tests.http.live import Live
from tests.http.mcp_resource import SCOPE, McpResource, running_resource
from tests.http.node import require_libraries, running, visit
from tests.http.person import Person, a_person, a_web_client
from tests.postgres import Postgres

REDIRECT_URI = "http://127.0.0.1:33418/callback"
CLIENT = "mcp-client"
WAYS = pytest.mark.parametrize("client_id", ["", CLIENT], ids=["registers itself", "registered"])


@dataclass(frozen=True)
class World:
    """A service, an MCP server that trusts it, and a person who uses it."""

    live: Live
    resource: McpResource
    person: Person

    def called_back(self, url: str) -> httpx.QueryParams:
        """Let the person follow an authorization URL; return what the client is told."""
        return httpx.URL(visit(self.person, url)).params


@pytest.fixture(scope="module")
def world(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service of their own: on the shared one clients do not register themselves."""
    with running_resource() as resource, postgres.database() as url:
        settings: dict[str, Any] = {
            "GRANTLEDGER_PROFILE": "mcp",
            "GRANTLEDGER_REGISTRATION_SCOPES": f"{SCOPE},offline_access",
            "GRANTLEDGER_REGISTRATION_AUDIENCES": resource.url,
        }
        with (
            running_service(
                tmp_path_factory.mktemp("mcp"),
                DATABASE_URL=url,
                **settings,
            ) as service,
            httpx.Client(base_url=service.url, timeout=20) as http,
        ):
            live = Live(service, http, url)
            resource.issuer = service.url
            a_web_client(
                live,
                CLIENT,
                client_type="public",
                redirects={"redirect_uris": [REDIRECT_URI]},
                audiences={"allowed": [resource.url]},
            )
            yield World(live, resource, a_person(live, "mcp-person"))


@dataclass
class Storage:
    """What the client of the Python package remembers."""

    information: OAuthClientInformationFull | None
    tokens: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        """Return the present tokens."""
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep tokens."""
        self.tokens.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return who the client is."""
        return self.information

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep who the client is."""
        self.information = client_info


def a_provider(world: World, storage: Storage) -> OAuthClientProvider:
    """Return the package's OAuth for a client whose browser is the person's."""
    opened: list[str] = []

    async def redirect(url: str) -> None:
        opened.append(url)

    async def called_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**world.called_back(opened.pop()))

    metadata = OAuthClientMetadata(
        client_name="MCP package",
        redirect_uris=[AnyUrl(REDIRECT_URI)],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(world.resource.url, metadata, storage, redirect, called_back)


@WAYS
async def test_the_python_package_gets_in_and_stays_in(world: World, client_id: str) -> None:
    """From a 401 to tokens for the resource; once they have ended a refresh, and no new login."""
    known = OAuthClientInformationFull(client_id=CLIENT, token_endpoint_auth_method="none")
    storage = Storage(known if client_id else None)
    provider = a_provider(world, storage)
    async with httpx2.AsyncClient(auth=provider, timeout=20) as client:
        first = await client.get(world.resource.url)
        provider.context.token_expiry_time = 1.0  # in 1970: the client takes its token for ended
        second = await client.get(world.resource.url)

    assert [first.status_code, second.status_code] == [200, 200]
    assert storage.information is not None
    assert bool(client_id) is (storage.information.client_id == CLIENT)
    assert all(SCOPE in (tokens.scope or "").split() for tokens in storage.tokens)
    assert len({tokens.access_token for tokens in storage.tokens}) == 2
    assert len({tokens.refresh_token for tokens in storage.tokens}) == 2


@WAYS
def test_the_typescript_sdk_gets_in_and_stays_in(world: World, client_id: str) -> None:
    """The same with `@modelcontextprotocol/sdk`."""
    require_libraries()
    given: dict[str, Any] = {"server": world.resource.url, "redirect_uri": REDIRECT_URI}
    if client_id:
        given["client"] = {"client_id": client_id}
    with running("mcp", **given) as script:
        url = script.hear()["open"]
        script.say({"callback": visit(world.person, url)})
        heard = script.hear()

    assert heard["steps"] == ["REDIRECT", "AUTHORIZED", "AUTHORIZED"]
    assert [heard[time]["status"] for time in ("first", "second")] == [200, 200]
    assert heard["second"]["tokens"]["refresh_token"] != heard["first"]["tokens"]["refresh_token"]
    assert bool(client_id) is (heard["client"]["client_id"] == CLIENT)
    assert heard["authorizationServerUrl"].rstrip("/") == world.live.service.url
