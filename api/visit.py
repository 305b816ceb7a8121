"""One request of a person's browser: what all pages have in common.

A refusal becomes a page that says what happened and what to do; it is recorded with its true
reason, like every other. Nothing a person can do makes a 500 that shows anything.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from litestar import Request, Response

from api.browser import Browser
from api.composition import Service
from api.forms import Form, parse_form, require_form_type
from api.pages.rendering import Pages, source_of
from api.request_reading import read_headers, request_context, trace_of
from application.authorization.pending import Authorizing, Pending, opened, sealed
from application.errors import (
    InvalidRequest,
    OAuthError,
    ServerError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from application.ledger.errors import LedgerUnavailable
from application.request_context import RequestContext
from domain.client import Client
from domain.denial_log import Denial
from domain.metadata_url import host_of
from domain.permissions import Catalogue
from domain.provenance import Provenance
from domain.session import Session

AnyRequest = Request[Any, Any, Any]
AnyResponse = Response[Any]

_log = logging.getLogger(__name__)


class Visit:
    """What a page works with: the form or query, the browser, the circumstances."""

    def __init__(
        self, name: str, request: AnyRequest, service: Service, pages: Pages, form: Form
    ) -> None:
        headers = read_headers(request.scope)
        self.name = name
        self.service = service
        self.pages = pages
        self.form = form
        self.browser = Browser(request, service)
        self.client_id = ""
        provenance = Provenance(
            service.clock.now(), service.ids.request_id(), trace_of(headers.traceparent)
        )
        self.context: RequestContext = request_context(request.scope, headers, provenance, service)

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        form_action: Sequence[str] = (),
        **context: Any,
    ) -> AnyResponse:
        """Return a page; forms on it find `csrf`."""
        return self.pages.render(
            template, status=status, form_action=form_action, csrf=self.browser.csrf, **context
        )

    def pending(self) -> Pending:
        """Return what the person is in the middle of. Raises InvalidRequest."""
        return self.opened(self.form.get("request"))

    def opened(self, value: str | None) -> Pending:
        """Return what `sealed` was given in this very browser. Raises InvalidRequest."""
        return opened(value, self.service.pending, browser=self.browser.mark)

    def sealed(self, pending: Pending) -> str:
        """Return `pending` as this browser carries it."""
        return sealed(pending, self.service.pending, browser=self.browser.mark)

    def arriving(self) -> Pending:
        """Return what `sealed_for_arrival` was given. Raises InvalidRequest."""
        return opened(self.form.get("arriving"), self.service.pending, browser="")

    def sealed_for_arrival(self, pending: Pending) -> str:
        """Return `pending` for a browser that came without its cookie, posting from another site.

        It is worth no more than a link to the authorization endpoint, which anybody can make.
        """
        return sealed(pending, self.service.pending, browser="")

    def require_own_form(self) -> None:
        """Raise AccessDenied unless the form came from our page in this browser."""
        self.browser.require_own_form(self.form.get("csrf"))

    async def session(self) -> Session | None:
        """Return the live session of the browser, or None. Raises LedgerUnavailable."""
        return await self.browser.session()

    def denied(self, error: OAuthError) -> None:
        """Record a refusal with its true reason."""
        if error.status < 500:
            self.service.denials.note(
                Denial(
                    client_id=self.client_id,
                    endpoint=self.name,
                    grant_type="",
                    error=error.code,
                    reason=error.reason,
                    address=self.context.origin.address,
                ),
                self.context.provenance,
            )

    def explain(self, error: OAuthError) -> AnyResponse:
        """Return the page that tells the person what went wrong."""
        self.denied(error)
        response = self.render(
            "message.html",
            status=int(error.status),
            title=_TITLES.get(type(error), "This did not work"),
            text=error.description[:1].upper() + error.description[1:] + ".",
            request_id=self.context.provenance.request_id,
        )
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response


_TITLES: dict[type[OAuthError], str] = {
    TemporarilyUnavailable: "Please try again in a moment",
    ServerError: "Something went wrong here",
    TooManyRequests: "Too many requests from your network",
}

Work = Callable[[Visit], Awaitable[AnyResponse]]


class PageFrame:
    """Answers requests of browsers: builds the visit, runs the page, explains what fails."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self.service = service
        self.pages = pages

    async def show(self, name: str, request: AnyRequest, work: Work) -> AnyResponse:
        """Answer a GET; the query is the form."""
        return await self._answer(name, request, work, request.scope["query_string"])

    async def take(self, name: str, request: AnyRequest, work: Work) -> AnyResponse:
        """Answer a POST of one of our own forms: others are refused."""

        async def checked(visit: Visit) -> AnyResponse:
            visit.require_own_form()
            return await work(visit)

        return await self.take_foreign(name, request, checked)

    async def take_foreign(self, name: str, request: AnyRequest, work: Work) -> AnyResponse:
        """Answer a POST that other sites may make."""
        try:
            require_form_type(request.headers.get("content-type", "").encode("latin-1"))
            body = await request.body()
        except InvalidRequest as error:
            return self._visit(name, request, Form({})).explain(error)
        return await self._answer(name, request, work, body)

    async def _answer(
        self, name: str, request: AnyRequest, work: Work, encoded: bytes
    ) -> AnyResponse:
        try:
            form = parse_form(encoded, of_a_page=True)
        except InvalidRequest as error:
            return self._visit(name, request, Form({})).explain(error)
        visit = self._visit(name, request, form)
        try:
            self.service.directory.require_fresh()
            response = await work(visit)
        except OAuthError as error:
            response = visit.explain(error)
        except LedgerUnavailable as error:
            response = visit.explain(TemporarilyUnavailable(reason=str(error)))
        except Exception:
            _log.exception(
                "request failed", extra={"request_id": visit.context.provenance.request_id}
            )
            response = visit.explain(ServerError())
        response.headers["X-Request-Id"] = visit.context.provenance.request_id
        return visit.browser.settle(response)

    def _visit(self, name: str, request: AnyRequest, form: Form) -> Visit:
        return Visit(name, request, self.service, self.pages, form)


def redirect(location: str) -> AnyResponse:
    """Return a 303: the browser goes on with GET, whatever it sent (RFC 9700, Section 4.12)."""
    return Response(
        None,
        status_code=303,
        headers={
            "Location": location,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        },
    )


def path_with(path: str, **parameters: str) -> str:
    """Return a path of ours with a query."""
    return f"{path}?{urlencode(parameters)}"


def uri_with(uri: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return `uri` with parameters added to its query, which is kept (RFC 6749, Section 3.1.2)."""
    parts = urlsplit(uri)
    query = "&".join(part for part in (parts.query, urlencode(list(parameters))) if part)
    return urlunsplit(parts._replace(query=query))


def where_forms_end(pending: Pending | None) -> tuple[str, ...]:
    """Return the foreign sources that the forms of a page may lead to."""
    return sources_of(pending.request.redirect_uri) if isinstance(pending, Authorizing) else ()


def sources_of(redirect_uri: str) -> tuple[str, ...]:
    """Return the CSP sources of a client's redirect URI and of where the client may go on to.

    Chromium holds every redirect after a form post against the policy of our page, the client's
    own ones too: a callback that goes on to a page on another host would fail after the login.
    """
    if redirect_uri.startswith("https:"):
        return ("https:",)
    source = source_of(redirect_uri)
    if redirect_uri.startswith("http:"):  # on the loopback interface, or it is not registered
        return (source, "http://localhost:*", "http://127.0.0.1:*")
    return (source,)


def origin_of_name(client: Client) -> dict[str, Any]:
    """Return what a page says about the name of a client beside it: where its document lies, or
    that it registered itself and nobody checked it.
    """
    source = client.registration.source
    return {
        "published_at": host_of(client.client_id) if source == "metadata_document" else "",
        "self_registered": source == "dynamic",
    }


def described(scope: Sequence[str], catalogue: Catalogue) -> list[dict[str, str]]:
    """Return scopes with the words that people read about them."""
    return [
        {"name": name, "description": catalogue[name].description or name}
        for name in scope
        if name in catalogue.by_name
    ]
