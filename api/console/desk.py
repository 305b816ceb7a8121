"""One request of an auditor: the gate, then the page; who is not logged in is sent to log in.

A fragment that htmx asks for makes the whole page load again where the login has ended: the page
sends the person on, and comes back to itself.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from litestar import Response

from api.audit_reads import canonical, named_by_path, unknown
from api.composition import Service
from api.console.cookies import Cookies
from api.console.gate import Auditor, Gate, NoAuditor, NotLoggedIn
from api.console.login import LOGIN_PATH, Entrance, no_access, own_path
from api.console.rendering import console_pages
from api.visit import AnyRequest, AnyResponse, PageFrame, Visit, path_with, redirect
from application.administration.console_client import CONSOLE_CLIENT
from application.audit_reading import as_query
from application.errors import InvalidRequest


class Sight:
    """What a page of the console works with: the visit, who looks, and what they ask."""

    def __init__(self, visit: Visit, auditor: Auditor, asked: Mapping[str, str]) -> None:
        self.visit = visit
        self.auditor = auditor
        self.asked = asked
        self.service: Service = visit.service
        self.form = visit.form

    @property
    def now(self) -> datetime:
        """The moment of the request, in UTC."""
        return self.visit.context.provenance.occurred_at

    def note(self, what: str, **parameters: str) -> None:
        """Record that the auditor reads `what`, coalesced; `parameters` are kept for good."""
        self.service.audit_reading.note(
            reader=f"{self.auditor.subject} through {CONSOLE_CLIENT}",
            via="console",
            what=what,
            parameters=as_query(parameters.items()),
            provenance=self.visit.context.provenance,
        )

    def render(self, template: str, *, status: int = 200, **context: Any) -> AnyResponse:
        """Return a page of the console, `template` below templates/console."""
        return self.visit.render(
            f"console/{template}", status=status, auditor=self.auditor, **context
        )


Page = Callable[[Sight], Awaitable[AnyResponse]]


class Desk:
    """Answers the requests of auditors."""

    def __init__(self, service: Service) -> None:
        self.frame = PageFrame(service, console_pages())
        self.cookies = Cookies(service)
        self.gate = Gate(service, self.cookies)
        self.entrance = Entrance(self.cookies, self.gate)

    async def show(
        self, request: AnyRequest, page: Page, *, takes: Collection[str], noted: bool = True
    ) -> AnyResponse:
        """Answer a GET of somebody who may look; everybody else is refused or sent to log in.

        The page `takes` these parameters, each once, and no others. Unless `noted` is False, it is
        recorded that the page was read, and about what.
        """

        async def work(visit: Visit) -> AnyResponse:
            visit.client_id = CONSOLE_CLIENT
            try:
                auditor = await self.gate.admit(request)
            except NotLoggedIn as refused:
                return self._to_login(visit, request, refused)
            except NoAuditor as refused:
                return no_access(visit, refused)
            sight = Sight(visit, auditor, _understood(visit, takes))
            if noted:
                about = {**dict(named_by_path(request)), **sight.asked}
                sight.note(request.scope["path_template"], **about)
            return await page(sight)

        return await self.frame.show("console", request, work)

    def _to_login(self, visit: Visit, request: AnyRequest, refused: NotLoggedIn) -> AnyResponse:
        response: AnyResponse
        if request.headers.get("hx-request") == "true":
            response = Response(
                b"", status_code=401, headers={"HX-Refresh": "true", "Cache-Control": "no-store"}
            )
        else:
            query = request.scope["query_string"].decode("latin-1")
            wanted = own_path(f"{request.url.path}?{query}" if query else request.url.path)
            response = redirect(path_with(LOGIN_PATH, next=wanted))
        if refused.cause is not None:
            if refused.cause.reason != "expired":  # which happens to everybody
                visit.denied(refused.cause)
            self.cookies.forget_login(response)
        return response


def _understood(visit: Visit, takes: Collection[str]) -> Mapping[str, str]:
    """Return the parameters by name, sorted. Raises InvalidRequest for what the page has not, and
    for what comes twice: `audience` may at the OAuth endpoints, whose forms are read likewise.
    """
    asked: dict[str, str] = {}
    for name, value in sorted(visit.form.items()):
        if name not in takes:
            raise InvalidRequest(unknown(name, takes), reason="unknown parameter")
        if name in asked:
            raise InvalidRequest(f"{name} is given more than once", reason="repeated parameter")
        asked[name] = canonical(value.strip()) if name == "jti" else value
    return asked
