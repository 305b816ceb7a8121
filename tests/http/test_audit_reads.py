"""Reads of audit data over HTTP are noted, whichever route it is."""

from types import SimpleNamespace
from typing import Any

import pytest
from litestar import Litestar, Router, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.testing import TestClient

from api.audit import audit_router
from api.audit_reads import noting_reads
from api.reports import reports_router
from api.resource_server import guard
from application.errors import InsufficientScope
from application.settings import Settings
from tests.application.fakes import FakeClock, SequentialIds


class Noted:
    """Stands for the recorder and keeps what it is told."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, str, str, str]] = []

    def note(self, *, reader: str, via: str, what: str, provenance: Any, parameters: str) -> None:
        """Keep one read."""
        assert provenance.request_id
        self.reads.append((reader, via, what, parameters))


@pytest.fixture
def noted() -> Noted:
    """A recorder that was told nothing yet."""
    return Noted()


def client(noted: Noted, *, allowed: bool = True) -> TestClient[Any]:
    """Return a browser of one route with the hook, behind a guard that decides as told."""
    service: Any = SimpleNamespace(
        clock=FakeClock(), ids=SequentialIds(), audit_reading=noted, settings=Settings()
    )

    async def guarding(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if not allowed:
            raise InsufficientScope("no", reason="no")
        caller = SimpleNamespace(claims={"sub": "person"}, client_id="desk")
        connection.scope["state"][guard._CALLER] = caller

    @get("/things/{name:str}")
    async def thing(name: FromPath[str], topic: FromQuery[str] = "") -> str:
        return f"{name}{topic}"

    router = Router(
        "/audit", route_handlers=[thing], guards=[guarding], before_request=noting_reads(service)
    )
    return TestClient(Litestar([router], openapi_config=None))


def test_a_read_is_noted_with_its_filters(noted: Noted) -> None:
    """Reader, way, route and declared parameters are noted; what nobody declared is not."""
    with client(noted) as browser:
        browser.get("/audit/things/a?topic=x&access_token=hidden")

    assert noted.reads == [
        ("person through desk", "http", "/audit/things/{name}", "name=a topic=x")
    ]


def test_who_is_refused_read_nothing(noted: Noted) -> None:
    """A request that the guard refuses is no read."""
    with client(noted, allowed=False) as browser:
        browser.get("/audit/things/a")

    assert noted.reads == []


@pytest.mark.parametrize("make", [audit_router, reports_router])
def test_every_router_of_audit_data_has_the_hook(make: Any) -> None:
    """/audit and /reports note whatever is read below them."""
    service: Any = SimpleNamespace(
        settings=Settings(),
        owner_of=None,
        resource_server=SimpleNamespace(requires=lambda *_, **__: lambda *_: None),
    )

    assert make(service).before_request is not None
