"""A login through an upstream provider that runs over real HTTP, step by step."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from application.one_time_values import OneTimeValues
from application.outbound import Outbound
from application.people.upstream import UpstreamClient, UpstreamLogin, UpstreamProvider
from application.people.upstream_recency import ANY_LOGIN, Recency
from application.side_tables import SideTables
from tests.application.people.upstream_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URI,
    Provider,
    running_provider,
    visit,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BROWSER, REQUEST = "browser-1", "sealed=request&of=ours"


@dataclass
class Scene:
    """One login from `begin` to `finish`, whose steps a test may change."""

    provider: Provider
    upstream: UpstreamProvider
    browser: str = BROWSER
    now: datetime = NOW
    recency: Recency = ANY_LOGIN
    parameters: Callable[[dict[str, str]], dict[str, str]] = field(default=lambda given: given)

    async def begun(self) -> dict[str, str]:
        """Begin, log in at the provider, and return what the browser brings back."""
        return await visit(await self.begin())

    async def begin(self) -> str:
        """Begin as the first browser."""
        return await self.upstream.begin(
            browser=BROWSER, request=REQUEST, now=self.now, recency=self.recency
        )

    async def finish(self, parameters: dict[str, str]) -> UpstreamLogin:
        """Finish with these parameters."""
        return await self.upstream.finish(parameters=parameters, browser=self.browser, now=self.now)

    async def login(self) -> UpstreamLogin:
        """Do all of it."""
        return await self.finish(self.parameters(await self.begun()))


def agreed(provider: Provider, **changes: Any) -> UpstreamClient:
    """Return what the provider and we agreed on."""
    return UpstreamClient(
        **{
            "issuer": provider.issuer,
            "client_id": CLIENT_ID,
            "client_secret": SecretStr(CLIENT_SECRET),
            **changes,
        }
    )


@asynccontextmanager
async def scene(database_url: str, *, alg: str = "ES256", **changes: Any) -> AsyncIterator[Scene]:
    """Set up a provider and our side of it."""
    tables = SideTables(database_url)
    with running_provider(NOW, alg) as provider:
        upstream = UpstreamProvider(
            agreed(provider, **changes),
            outbound=Outbound(),
            values=OneTimeValues(tables),
            redirect_uri=REDIRECT_URI,
        )
        try:
            yield Scene(provider, upstream)
        finally:
            await tables.close()
