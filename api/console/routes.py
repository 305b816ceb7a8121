"""The routes below /console: each parses nothing, and hands the request to its page."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from api.composition import Service
from api.console import (
    activity_page,
    client_pages,
    event_page,
    family_page,
    overview,
    report_pages,
    search_page,
    token_page,
)
from api.console.desk import Desk, Page
from api.console.login import LOGIN_PATH
from api.visit import AnyRequest, AnyResponse, Visit
from application.administration.console_client import CALLBACK_PATH, LOGGED_OUT_PATH
from projections.event_filter import EventFilter
from projections.reports.registry import report_named

LOGOUT_PATH = "/console/logout"
PAGES: Mapping[str, Page] = {
    "/console": overview.page,
    "/console/tail": overview.tail,
    "/console/search": search_page.page,
    "/console/find": search_page.find,
    "/console/clients": client_pages.listing,
    "/console/activity": activity_page.page,
    "/console/reports": report_pages.gallery,
}
_NOT_NOTED = frozenset({"/console/reports", "/console/tail"})
"""Pages that show no audit data, or that note by themselves when they do."""
PAGES_OF: Mapping[str, Callable[[str], Page]] = {
    "/console/events/{name:str}": event_page.page,
    "/console/tokens/{name:str}": token_page.page,
    "/console/families/{name:str}": family_page.page,
    "/console/clients/{name:str}": client_pages.page,
    "/console/reports/{name:str}": report_pages.page,
}
_REPORT = "/console/reports/{name:str}"
TAKES: Mapping[str, frozenset[str]] = {
    "/console": frozenset(),
    "/console/tail": frozenset({"after"}),
    "/console/search": frozenset(field.name for field in fields(EventFilter)),
    "/console/find": frozenset({"q"}),
    "/console/clients": frozenset({"q"}),
    "/console/activity": frozenset({"window"}),
    "/console/reports": frozenset(),
    "/console/events/{name:str}": frozenset(),
    "/console/tokens/{name:str}": frozenset(),
    "/console/families/{name:str}": frozenset(),
    "/console/clients/{name:str}": frozenset({"version"}),
    _REPORT: frozenset(report_pages.OWN),
}
"""The parameters of each page; a report has its own beside these."""


def console_routes(service: Service) -> list[HTTPRouteHandler]:
    """Return the routes of the console."""
    desk = Desk(service)

    def showing(path: str, page: Page) -> HTTPRouteHandler:
        @get(path, include_in_schema=False)
        async def show(request: AnyRequest) -> Any:
            return await desk.show(request, page, takes=TAKES[path], noted=path not in _NOT_NOTED)

        return show

    def showing_one(path: str, page_of: Callable[[str], Page]) -> HTTPRouteHandler:
        @get(path, include_in_schema=False)
        async def show(request: AnyRequest, name: str) -> Any:
            return await desk.show(request, page_of(name), takes=_taken(path, name))

        return show

    return [
        *_entrance(desk),
        *(showing(path, page) for path, page in PAGES.items()),
        *(showing_one(path, page_of) for path, page_of in PAGES_OF.items()),
    ]


def _taken(path: str, name: str) -> Collection[str]:
    taken = TAKES[path]
    if path == _REPORT:
        with suppress(KeyError):  # of a report that is not there: the page says so
            taken |= {one.name for one in report_named(name).parameters}
    return taken


def _entrance(desk: Desk) -> list[HTTPRouteHandler]:
    @get(LOGIN_PATH, include_in_schema=False)
    async def login(request: AnyRequest) -> Any:
        return await desk.frame.show("console", request, desk.entrance.begin)

    @get(CALLBACK_PATH, include_in_schema=False)
    async def callback(request: AnyRequest) -> Any:
        return await desk.frame.show(
            "console", request, lambda visit: desk.entrance.complete(visit, request)
        )

    @post(LOGOUT_PATH, include_in_schema=False)
    async def logout(request: AnyRequest) -> Any:
        return await desk.frame.take(
            "console", request, lambda visit: desk.entrance.leave(visit, request)
        )

    @get(LOGGED_OUT_PATH, include_in_schema=False)
    async def logged_out(request: AnyRequest) -> Any:
        return await desk.frame.show("console", request, _logged_out)

    return [login, callback, logout, logged_out]


async def _logged_out(visit: Visit) -> AnyResponse:
    return visit.render("console/logged_out.html")
