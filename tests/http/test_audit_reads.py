"""Reads of data about people and tokens over HTTP are noted, whole, whichever route it is."""

from types import SimpleNamespace
from typing import Any

import pytest
from litestar import Litestar, Response, Router, get, patch
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from api.admin import admin_router
from api.app import create_app
from api.audit import audit_router
from api.audit_past import audit_past_router
from api.audit_reads import TAKES_PARAMETERS_OF_ITS_OWN, asked_by_headers, noting_reads
from api.composition import Service
from api.reports import reports_router
from api.resource_server import guard
from application.errors import InsufficientScope, InvalidRequest, OAuthError
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
    async def thing(
        name: FromPath[str], topic: FromQuery[str] = "", kinds: FromQuery[list[str] | None] = None
    ) -> str:
        return f"{name}{topic}{kinds}"

    @patch("/things/{name:str}")
    async def change(name: FromPath[str]) -> str:
        return name

    @get("/reports/{name:str}", opt={TAKES_PARAMETERS_OF_ITS_OWN: True})
    async def report(name: FromPath[str], as_of: FromQuery[str] = "") -> str:
        return f"{name}{as_of}"

    router = Router(
        "/audit",
        route_handlers=[thing, change, report],
        guards=[guarding],
        before_request=noting_reads(service),
    )

    def refused(_: Any, error: OAuthError) -> Response[str]:
        return Response(error.description, status_code=int(error.status))

    handlers: Any = {OAuthError: refused}
    return TestClient(Litestar([router], openapi_config=None, exception_handlers=handlers))


def test_a_read_is_noted_with_its_filters(noted: Noted) -> None:
    """Reader, way, route and parameters are noted, a value as long as it came."""
    topic = "x" * 5000
    with client(noted) as browser:
        browser.get(f"/audit/things/a?topic={topic}")

    assert noted.reads == [
        ("person through desk", "http", "/audit/things/{name}", f"name=a&topic={topic}")
    ]


def test_every_value_of_a_list_is_noted(noted: Noted) -> None:
    """A route that takes several values has all of them in the record, in their order."""
    with client(noted) as browser:
        answer = browser.get("/audit/things/a?kinds=x&kinds=y&kinds=z")

    assert "['x', 'y', 'z']" in answer.text
    assert noted.reads[0][3] == "name=a&kinds=x&kinds=y&kinds=z"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("topic=a&topic=b", "topic is given more than once"),
        ("topik=a", "topik is no parameter of this request: did you mean topic?"),
        ("q=a", "q is no parameter of this request: it takes kinds, topic"),
        ("access_token=hidden", "access_token is no parameter of this request"),
        ("a%0Ab=1", "a%0Ab is no parameter of this request"),
        ("topic=a&name=b", "name is no parameter of this request"),
    ],
)
def test_what_is_not_understood_is_refused_and_not_noted(
    noted: Noted, query: str, says: str
) -> None:
    """A parameter that is unknown or comes twice is a mistake, or hides what is really read."""
    with client(noted) as browser:
        answer = browser.get(f"/audit/things/a?{query}")

    assert (answer.status_code, answer.text[: len(says)]) == (400, says)
    assert noted.reads == []


def test_a_request_that_takes_none_says_so(noted: Noted) -> None:
    """A change takes its parameters from the body alone."""
    with client(noted) as browser:
        answer = browser.patch("/audit/things/a?topic=x")

    assert answer.status_code == 400
    assert "which takes none" in answer.text


def test_a_change_shows_what_there_is_too(noted: Noted) -> None:
    """A change that changes nothing records nothing of its own, and is answered like a read."""
    with client(noted) as browser:
        browser.patch("/audit/things/a")

    assert noted.reads[0][2:] == ("PATCH /audit/things/{name}", "name=a")


def test_a_route_may_know_its_parameters_better(noted: Noted) -> None:
    """A report refuses by itself what it does not take; what the route takes comes once as ever."""
    with client(noted) as browser:
        twice = browser.get("/audit/reports/r?as_of=1&as_of=2")
        browser.get("/audit/reports/r?owner=alice&as_of=1")

    assert twice.status_code == 400
    assert noted.reads == [
        ("person through desk", "http", "/audit/reports/{name}", "name=r&as_of=1&owner=alice")
    ]


def test_who_is_refused_read_nothing(noted: Noted) -> None:
    """A request that the guard refuses is no read."""
    with client(noted, allowed=False) as browser:
        browser.get("/audit/things/a")

    assert noted.reads == []


@pytest.mark.parametrize("make", [audit_router, audit_past_router, reports_router, admin_router])
def test_every_router_of_audit_data_has_the_hook(make: Any) -> None:
    """/audit, /reports and /admin note whatever is read below them."""
    service: Any = SimpleNamespace(
        settings=Settings(),
        owner_of=None,
        resource_server=SimpleNamespace(requires=lambda *_, **__: lambda *_: None),
    )

    assert make(service).before_request is not None


# The framework finds parameters of a page's handlers without their annotation, which goes one day.
@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
def test_no_route_below_these_paths_is_without_the_hook() -> None:
    """The application has no route of administrators or auditors that could be read unnoticed."""
    service = Service(Settings(), "postgresql://127.0.0.1:1/none")
    routes = [
        (route.path, handler)
        for route in create_app(service).routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]
    of_data = [one for one in routes if one[0].startswith(("/admin", "/audit", "/reports"))]

    assert len(of_data) >= 40
    assert [path for path, handler in of_data if handler.resolve_before_request() is None] == []


def test_a_header_that_narrows_comes_once() -> None:
    """Of two headers that say where to begin, one could be recorded and the other be used."""
    headers = Headers([(b"last-event-id", b"9"), (b"last-event-id", b"1")])

    assert asked_by_headers(Headers({"last-event-id": "7"}), ["last-event-id"]) == [
        ("last-event-id", "7")
    ]
    with pytest.raises(InvalidRequest, match="more than one last-event-id header"):
        asked_by_headers(headers, ["last-event-id"])
