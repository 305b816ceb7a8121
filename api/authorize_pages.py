"""GET and POST /oauth/authorize, and the consent page between a login and a code.

What cannot be sent to the client safely is shown to the person; everything else goes to the client
by the browser, with `iss` (RFC 9207).
"""

from datetime import timedelta
from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from msgspec.structs import replace

from api.client_admission import admit_client
from api.visit import (
    AnyRequest,
    AnyResponse,
    PageFrame,
    Visit,
    described,
    origin_of_name,
    path_with,
    redirect,
    sources_of,
    uri_with,
    where_forms_end,
)
from application.authorization.consenting import give_consent
from application.authorization.pending import Authorizing, Shown
from application.authorization.proceeding import (
    CodeIssued,
    ConsentNeeded,
    LoginNeeded,
    proceed,
    response_parameters,
    standing_client,
)
from application.authorization.pushing import pushed_request
from application.authorization.request import (
    AuthorizationRequest,
    checked,
    client_and_redirect_uri,
    response_mode,
    shown_state,
)
from application.ending import end_session
from application.errors import AccessDenied, InvalidRequest, OAuthError
from domain.client import Client
from domain.session import Session

AUTHORIZE_PATH = "/oauth/authorize"
CONTINUE_PATH = "/oauth/authorize/continue"
LOGIN_PATH = "/login"
CONSENT_PATH = "/consent"
ARRIVAL = timedelta(minutes=1)
"""How long a browser takes to follow the answer to a post. What a client pushed counts once: its
request must not go round as a link.
"""


def authorize_routes(frame: PageFrame) -> list[HTTPRouteHandler]:
    """Return the routes of the authorization endpoint and of consent."""

    @get(AUTHORIZE_PATH, include_in_schema=False)
    async def authorize(request: AnyRequest) -> Any:
        return await frame.show("authorize", request, _begin)

    @post(AUTHORIZE_PATH, include_in_schema=False)
    async def authorize_by_post(request: AnyRequest) -> Any:
        # OpenID Connect Core, Section 3.1.2.1: both methods. A post from another site comes
        # without the session cookie, so the browser comes back with it first.
        return await frame.take_foreign("authorize", request, _begin_anew)

    @get(CONTINUE_PATH, include_in_schema=False)
    async def go_on(request: AnyRequest) -> Any:
        return await frame.show("authorize", request, _go_on)

    @get(CONSENT_PATH, include_in_schema=False)
    async def consent_page(request: AnyRequest) -> Any:
        return await frame.show("consent", request, _consent_page)

    @post(CONSENT_PATH, include_in_schema=False)
    async def consent(request: AnyRequest) -> Any:
        return await frame.take("consent", request, _consent)

    return [authorize, authorize_by_post, go_on, consent_page, consent]


class _GoesToClient(Exception):
    """An error that the client is told by the browser."""

    def __init__(self, error: OAuthError, redirect_uri: str, mode: str, state: str | None) -> None:
        super().__init__(error.code)
        self.error = error
        self.redirect_uri = redirect_uri
        self.mode = mode
        self.state = state


async def _begin(visit: Visit) -> AnyResponse:
    await visit.service.rate_limits.authorize.require_address(visit.context)
    try:
        pending = await _pending_of(visit)
    except _GoesToClient as told:
        return _tell(visit, told)
    return await _next(visit, pending)


async def _begin_anew(visit: Visit) -> AnyResponse:
    await visit.service.rate_limits.authorize.require_address(visit.context)
    try:
        pending = await _pending_of(visit)
    except _GoesToClient as told:
        return _tell(visit, told)
    return redirect(path_with(CONTINUE_PATH, arriving=visit.sealed_for_arrival(pending)))


async def _go_on(visit: Visit) -> AnyResponse:
    await visit.service.rate_limits.authorize.require_address(visit.context)
    if visit.form.get("arriving") is None:
        return await _next(visit, _authorizing(visit))
    arrived, now = visit.arriving(), visit.context.provenance.occurred_at
    if not isinstance(arrived, Authorizing) or now - arrived.started_at > ARRIVAL:
        raise _something_else()
    # The request begins now: a link that was kept would make logins of meanwhile ones after it.
    return await _next(visit, Authorizing(arrived.request, now))


async def _pending_of(visit: Visit) -> Authorizing:
    service, started_at = visit.service, visit.context.provenance.occurred_at
    parameters = visit.form.single()
    client_id = parameters.get("client_id", "")
    await admit_client(client_id, visit.context, service, newcomers=True)
    request_uri = parameters.get("request_uri")
    if request_uri is not None:
        request = await pushed_request(request_uri, client_id, visit.context, service)
        visit.client_id = standing_client(request, service.directory).client_id
        return Authorizing(request, started_at)
    client, redirect_uri = client_and_redirect_uri(parameters, service.directory)
    visit.client_id = client.client_id
    try:
        _require_pushed_where_due(client, visit)
        targets = visit.form.all("resource")
        return Authorizing(
            checked(parameters, targets, client, redirect_uri, service.policy, service.details),
            started_at,
        )
    except OAuthError as error:
        raise _GoesToClient(
            error, redirect_uri, response_mode(parameters), shown_state(parameters)
        ) from error


def _require_pushed_where_due(client: Client, visit: Visit) -> None:
    required = client.redirects.require_pushed_authorization_requests
    if required or visit.service.settings.require_pushed_requests:
        raise InvalidRequest("authorization requests have to be pushed first (RFC 9126)")


async def _next(visit: Visit, pending: Authorizing) -> AnyResponse:
    request = pending.request
    visit.client_id = standing_client(request, visit.service.directory).client_id
    try:
        step = await proceed(pending, await visit.session(), visit.context, visit.service)
    except OAuthError as error:
        return _tell(visit, _goes_to(visit, request, error))
    if isinstance(step, LoginNeeded):
        return redirect(path_with(LOGIN_PATH, request=visit.sealed(pending)))
    if isinstance(step, ConsentNeeded):
        return redirect(path_with(CONSENT_PATH, request=visit.sealed(pending)))
    return _send(visit, request.redirect_uri, request.response_mode, step, request.state)


async def _consent_page(visit: Visit) -> AnyResponse:
    pending = _authorizing(visit)
    session = await visit.session()
    if session is None:
        return redirect(path_with(LOGIN_PATH, request=visit.sealed(pending)))
    try:
        step = await proceed(pending, session, visit.context, visit.service)
    except OAuthError as error:
        return _tell(visit, _goes_to(visit, pending.request, error))
    if not isinstance(step, ConsentNeeded):
        return redirect(path_with(CONTINUE_PATH, request=visit.sealed(pending)))
    return await _ask(visit, pending, session, step)


async def _ask(
    visit: Visit, pending: Authorizing, session: Session, step: ConsentNeeded
) -> AnyResponse:
    logins = await visit.service.credentials.logins_of(session.subject)
    return visit.render(
        "consent.html",
        form_action=where_forms_end(pending),
        client_name=step.client.name or step.client.client_id,
        client_id=step.client.client_id,
        **origin_of_name(step.client),
        login=logins[0] if logins else session.subject,
        redirect_host=shown_host(pending.request.redirect_uri),
        scopes=described(step.agreed.scope, visit.service.catalogue),
        resources=step.agreed.resource,
        details=visit.service.details.shown(pending.request.authorization_details),
        request=visit.sealed(replace(pending, shown=_shown(step))),
    )


def _shown(step: ConsentNeeded) -> Shown:
    return Shown(step.agreed.subject, step.agreed.scope, step.agreed.resource)


async def _consent(visit: Visit) -> AnyResponse:
    # The request may come again and again, and brings a code each time.
    await visit.service.rate_limits.authorize.require_address(visit.context)
    pending = _authorizing(visit)
    session = await visit.session()
    decision = visit.form.get("decision")
    if decision == "switch" and session is not None:
        await _end_for_another(visit, session)
    if decision == "switch" or session is None:
        return redirect(path_with(LOGIN_PATH, request=visit.sealed(pending)))
    if decision != "allow":
        visit.client_id = pending.request.client_id
        standing_client(pending.request, visit.service.directory)
        return _tell(visit, _goes_to(visit, pending.request, AccessDenied("the person said no")))
    answered = replace(pending, consented_in=session.session_id)
    try:
        step = await proceed(pending, session, visit.context, visit.service)
        if isinstance(step, ConsentNeeded):
            if pending.shown != _shown(step):
                # What the person said yes to is not what would be granted by now.
                return await _ask(visit, pending, session, step)
            await give_consent(
                step.agreed,
                session,
                service=visit.service,
                provenance=visit.context.provenance,
            )
    except OAuthError as error:
        return _tell(visit, _goes_to(visit, pending.request, error))
    if isinstance(step, CodeIssued):  # somebody consented in another window meanwhile
        request = pending.request
        return _send(visit, request.redirect_uri, request.response_mode, step, request.state)
    return await _next(visit, answered)


async def _end_for_another(visit: Visit, session: Session) -> None:
    """End the session that was there: without its cookie nobody could log out of it any more."""
    await end_session(
        session.session_id,
        visit.service,
        by=session.subject,
        reason="somebody else logs in",
        provenance=visit.context.provenance,
    )
    visit.browser.forget_session()


def _authorizing(visit: Visit) -> Authorizing:
    pending = visit.pending()
    if not isinstance(pending, Authorizing):
        raise _something_else()
    return pending


def _something_else() -> InvalidRequest:
    return InvalidRequest("this page belongs to something else; start again")


def shown_host(redirect_uri: str) -> str:
    """Return what tells people where they are sent: the host, or the scheme of a private one."""
    scheme, _, rest = redirect_uri.partition("://")
    if scheme in ("http", "https"):
        return rest.split("/", 1)[0].split("?", 1)[0]
    return redirect_uri.split(":", 1)[0]


def _goes_to(visit: Visit, request: AuthorizationRequest, error: OAuthError) -> _GoesToClient:
    # A client that was disabled while the person looked at a page gets no browser sent to it.
    standing_client(request, visit.service.directory)
    return _GoesToClient(error, request.redirect_uri, request.response_mode, request.state)


def _tell(visit: Visit, told: _GoesToClient) -> AnyResponse:
    if told.error.status >= 500:
        raise told.error
    visit.denied(told.error)
    return _send(visit, told.redirect_uri, told.mode, told.error, told.state)


def _send(
    visit: Visit,
    redirect_uri: str,
    mode: str,
    outcome: CodeIssued | OAuthError,
    state: str | None,
) -> AnyResponse:
    issuer = visit.service.settings.issuer_url
    parameters = response_parameters(outcome, state=state, issuer=issuer)
    if mode == "form_post":
        return visit.pages.render(
            "form_post.html",
            form_action=sources_of(redirect_uri),
            action=redirect_uri,
            fields=parameters,
        )
    return redirect(uri_with(redirect_uri, parameters))
