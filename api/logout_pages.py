"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0): a client asks, the person agrees.

1 the hint, where given, is an ID token of ours, perhaps expired, that was recorded so
(application.recorded_token), 2 a client is named by it or by `client_id`, and the two agree, 3 the
address to go on to is registered for that client, exactly, and the client is enabled: an address
that an attacker registered must not outlive the client; otherwise nobody is redirected, 4 a hint
for the very session of this browser ends it at once; anything else asks first: another site must
not be able to log people out.
"""

from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from api.pages.rendering import source_of
from api.visit import AnyRequest, AnyResponse, PageFrame, Visit, path_with, redirect, uri_with
from application.authorization.pending import LoggingOut
from application.ending import end_session
from application.errors import InvalidRequest
from application.recorded_token import Circumstances, recorded_id_token, verified_id_token
from application.token_keys import UnverifiableToken
from domain.access_token import AccessToken
from domain.session import Session

LOGOUT_PATH = "/oauth/logout"


def logout_routes(frame: PageFrame) -> list[HTTPRouteHandler]:
    """Return the routes of the end session endpoint."""

    @get(LOGOUT_PATH, include_in_schema=False)
    async def logout(request: AnyRequest) -> Any:
        return await frame.show("logout", request, _begin)

    @post(LOGOUT_PATH, include_in_schema=False)
    async def logout_by_post(request: AnyRequest) -> Any:
        # Section 2: both methods. A post from the client's site comes without the session cookie,
        # so the browser comes back with it first.
        return await frame.take_foreign("logout", request, _begin_anew)

    @post("/oauth/logout/confirm", include_in_schema=False)
    async def confirm(request: AnyRequest) -> Any:
        return await frame.take("logout", request, _confirm)

    return [logout, logout_by_post, confirm]


async def _begin(visit: Visit) -> AnyResponse:
    hint = await _hint(visit)  # 1
    client_id = _client_id(visit, hint)  # 2
    asked = LoggingOut(
        visit.context.provenance.occurred_at,
        client_id,
        _registered(visit, client_id),  # 3
        visit.form.get("state"),
    )
    session = await visit.session()
    if session is None:
        return _goodbye(visit, asked)
    if hint is not None and hint.issued.session_id == session.session_id:  # 4
        return await _end(visit, session, asked)
    client = visit.service.directory.client(client_id) if client_id else None
    return visit.render(
        "logout.html",
        client_name=(client.name or client.client_id) if client else None,
        form_action=_sources(asked),
        request=visit.sealed(asked),
    )


async def _begin_anew(visit: Visit) -> AnyResponse:
    return redirect(path_with(LOGOUT_PATH, **visit.form.single()))


async def _hint(visit: Visit) -> AccessToken | None:
    """Return the record that an ID token of ours is a hint at, None without a hint."""
    hint = visit.form.get("id_token_hint")
    if hint is None:
        return None
    presented = Circumstances.of(visit.context, visit.name)
    try:
        verified = verified_id_token(hint, presented, visit.service)
        return await recorded_id_token(verified, presented, visit.service)
    except UnverifiableToken as error:
        raise InvalidRequest(
            "id_token_hint is not an ID token of ours", reason=str(error)
        ) from None


def _client_id(visit: Visit, hint: AccessToken | None) -> str | None:
    named = visit.form.get("client_id")
    hinted = hint.issued.client_id if hint is not None else None
    if named is not None and hinted is not None and named != hinted:
        raise InvalidRequest("client_id is not the one that the ID token was issued to")
    return hinted or named


def _registered(visit: Visit, client_id: str | None) -> str | None:
    uri = visit.form.get("post_logout_redirect_uri")
    if uri is None:
        return None
    if not _may_go_on(visit, client_id, uri):
        raise InvalidRequest(
            "the post_logout_redirect_uri is not registered for this client",
            reason="post_logout_redirect_uri differs",
        )
    return uri


def _may_go_on(visit: Visit, client_id: str | None, uri: str) -> bool:
    client = visit.service.directory.client(client_id) if client_id else None
    if client is None or not client.enabled:
        return False
    return uri in client.redirects.post_logout_redirect_uris


async def _confirm(visit: Visit) -> AnyResponse:
    asked = visit.pending()
    if not isinstance(asked, LoggingOut):
        raise InvalidRequest("this page belongs to something else; start again")
    session = await visit.session()
    return _goodbye(visit, asked) if session is None else await _end(visit, session, asked)


async def _end(visit: Visit, session: Session, asked: LoggingOut) -> AnyResponse:
    await end_session(
        session.session_id,
        visit.service,
        by=session.subject,
        reason="logged out",
        provenance=visit.context.provenance,
    )
    visit.browser.forget_session()
    return _goodbye(visit, asked)


def _goodbye(visit: Visit, asked: LoggingOut) -> AnyResponse:
    # 3, once more: the page may have waited, and the client been disabled meanwhile.
    if asked.redirect_uri is None or not _may_go_on(visit, asked.client_id, asked.redirect_uri):
        return visit.render("logged_out.html")
    state = [("state", asked.state)] if asked.state is not None else []
    return redirect(uri_with(asked.redirect_uri, state))


def _sources(asked: LoggingOut) -> tuple[str, ...]:
    return (source_of(asked.redirect_uri),) if asked.redirect_uri else ()
