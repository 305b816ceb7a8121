"""The login page: password, passkey, or an upstream provider; then on to where the person was."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import MediaType, Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec.structs import replace

from api.authorize_pages import CONTINUE_PATH, LOGIN_PATH
from api.visit import (
    AnyRequest,
    AnyResponse,
    PageFrame,
    Visit,
    path_with,
    redirect,
    where_forms_end,
)
from application.authorization.pending import (
    ApprovingDevice,
    Authorizing,
    LoggingOut,
    Pending,
    VisitingAccount,
)
from application.ending import end_session
from application.errors import OAuthError, UnusableLogin
from application.logins import logged_in
from application.people.login import LoginRefused, password_login
from application.people.passkeys import PasskeyRefused
from application.people.passwords import PresentedPassword
from application.people.upstream import CALLBACK_PATH, UpstreamRefused, upstream_login_name
from application.people.upstream_login import principal_of
from application.people.upstream_recency import ANEW, ANY_LOGIN, UNKNOWN, Recency
from domain.visible_text import problem_with_name

ACCOUNT_PATH = "/account"
DEVICE_CONFIRM_PATH = "/device/confirm"


@dataclass(frozen=True, slots=True)
class _Proven:
    """Who logged in, by what and when (None: now); `stands` tells whether that would do still."""

    subject: str
    methods: tuple[str, ...]
    stands: Callable[[], Awaitable[bool]]
    moment: datetime | None = None


def login_routes(frame: PageFrame) -> list[HTTPRouteHandler]:
    """Return the routes of the login page."""

    @get(LOGIN_PATH, include_in_schema=False)
    async def login_page(request: AnyRequest) -> Any:
        return await frame.show("login", request, _page)

    @post(LOGIN_PATH, include_in_schema=False)
    async def login(request: AnyRequest) -> Any:
        return await frame.take("login", request, _by_password)

    @post("/login/passkey/options", include_in_schema=False)
    async def passkey_options(request: AnyRequest) -> Any:
        return await frame.take("login", request, _passkey_options)

    @post("/login/passkey", include_in_schema=False)
    async def passkey(request: AnyRequest) -> Any:
        return await frame.take("login", request, _by_passkey)

    @post("/login/upstream", include_in_schema=False)
    async def upstream(request: AnyRequest) -> Any:
        return await frame.take("login", request, _to_upstream)

    @get(CALLBACK_PATH, include_in_schema=False)
    async def upstream_callback(request: AnyRequest) -> Any:
        return await frame.show("login", request, _from_upstream)

    return [login_page, login, passkey_options, passkey, upstream, upstream_callback]


def resume(visit: Visit, pending: Pending) -> str:
    """Return the path where a person goes on once it is logged in."""
    if isinstance(pending, Authorizing):
        return path_with(CONTINUE_PATH, request=visit.sealed(pending))
    if isinstance(pending, ApprovingDevice):
        return path_with(DEVICE_CONFIRM_PATH, request=visit.sealed(pending))
    return ACCOUNT_PATH


def _pending(visit: Visit) -> Pending:
    if visit.form.get("request") is None:
        return VisitingAccount(_now(visit))
    pending = visit.pending()
    return VisitingAccount(_now(visit)) if isinstance(pending, LoggingOut) else pending


async def _page(visit: Visit) -> AnyResponse:
    return _render(visit, _pending(visit))


def _render(
    visit: Visit, pending: Pending, *, error: str | None = None, status: int = 200
) -> AnyResponse:
    service, client = visit.service, None
    hint = None
    if isinstance(pending, Authorizing):
        client = service.directory.client(pending.request.client_id)
        hint = pending.request.login_hint
        if hint is not None and problem_with_name(hint) is not None:
            hint = None  # nobody has such a name, and whoever wrote it knows what it hides
    upstream = service.upstream
    sources = where_forms_end(pending)
    return visit.render(
        "login.html",
        status=status,
        form_action=(*sources, upstream.source) if upstream else sources,
        client_name=(client.name or client.client_id) if client else None,
        self_registered=client is not None and client.registration.source == "dynamic",
        request=visit.sealed(pending),
        error=error,
        login=visit.form.get("login") or hint or "",
        upstream_name=upstream.name if upstream else None,
    )


async def _by_password(visit: Visit) -> AnyResponse:
    pending = _pending(visit)
    try:
        proof = await password_login(
            visit.form.get("login") or "",
            PresentedPassword(visit.form.get("password") or ""),
            browser=visit.browser.id,
            context=visit.context,
            service=visit.service,
        )
    except LoginRefused as refused:
        return _refused(visit, pending, refused.reason, wait=refused.wait)

    async def stands() -> bool:
        return await visit.service.passwords.set_at(proof.subject) == proof.set_at

    return await _enter(visit, pending, _Proven(proof.subject, ("pwd",), stands))


async def _require_room(visit: Visit) -> None:
    """Count a request that costs something, by its address where nobody has logged in with the
    browser yet: what strangers behind the same address use up is not what a known one may ask for.
    """
    limit = visit.service.rate_limits.login
    if await visit.service.throttle.knows(visit.browser.id, now=_now(visit)):
        await limit.require_known(visit.browser.mark)
    else:
        await limit.require_address(visit.context)


async def _passkey_options(visit: Visit) -> AnyResponse:
    await _require_room(visit)
    options = await visit.service.passkeys.login_options(
        browser=visit.browser.mark, now=_now(visit)
    )
    return Response(options, media_type=MediaType.JSON, headers={"Cache-Control": "no-store"})


async def _by_passkey(visit: Visit) -> AnyResponse:
    await _require_room(visit)
    pending = _pending(visit)
    try:
        passkey = await visit.service.passkeys.verify_login(
            visit.form.get("response") or "", browser=visit.browser.mark, now=_now(visit)
        )
    except PasskeyRefused as refused:
        return _refused(visit, pending, refused.reason)
    person = visit.service.directory.principal(passkey.subject)
    if person is None or not person.active:
        return _refused(visit, pending, "principal unknown or deactivated")

    async def stands() -> bool:
        return await visit.service.credentials.passkey(passkey.credential_id) is not None

    # RFC 8176: a hardware-secured key, and the person was verified.
    return await _enter(visit, pending, _Proven(passkey.subject, ("hwk", "user"), stands))


async def _to_upstream(visit: Visit) -> AnyResponse:
    await _require_room(visit)
    pending = _pending(visit)
    upstream = visit.service.upstream
    if upstream is None:
        return _refused(visit, pending, "no upstream provider")
    try:
        location = await upstream.begin(
            browser=visit.browser.id,
            request=visit.sealed(pending),
            now=_now(visit),
            recency=_recency(pending),
        )
    except UpstreamRefused as refused:
        return _refused(visit, pending, refused.reason)
    return redirect(location)


def _recency(pending: Pending) -> Recency:
    if isinstance(pending, VisitingAccount) and pending.anew:
        return ANEW
    if not isinstance(pending, Authorizing):
        return ANY_LOGIN
    return Recency(pending.request.max_age, pending.request.prompt)


async def _from_upstream(visit: Visit) -> AnyResponse:
    upstream = visit.service.upstream
    if upstream is None:
        return _refused(visit, VisitingAccount(_now(visit)), "no upstream provider")
    try:
        proof = await upstream.finish(
            parameters=visit.form.single(), browser=visit.browser.id, now=_now(visit)
        )
        subject = await principal_of(
            proof, service=visit.service, provenance=visit.context.provenance
        )
    except UpstreamRefused as refused:
        return _refused(visit, VisitingAccount(_now(visit)), refused.reason)
    pending = visit.opened(proof.request)

    async def stands() -> bool:
        name = upstream_login_name(proof.issuer, proof.subject)
        return await visit.service.credentials.subject_of(name) == subject

    moment = proof.auth_time or UNKNOWN
    return await _enter(visit, pending, _Proven(subject, ("fed",), stands, moment))


async def _enter(visit: Visit, pending: Pending, proven: _Proven) -> AnyResponse:
    session = await logged_in(
        proven.subject,
        proven.methods,
        await visit.session(),
        context=visit.context,
        service=visit.service,
        authenticated_at=proven.moment,
    )
    # Who changes a password ends the sessions that there are: this one may have begun after that.
    if not await proven.stands():
        reason = "what it was begun by was changed meanwhile"
        await end_session(
            session.session_id,
            visit.service,
            by=proven.subject,
            reason=reason,
            provenance=visit.context.provenance,
        )
        return _refused(visit, pending, reason)
    visit.browser.keep_session(session)
    await visit.service.throttle.remember(visit.browser.id, now=_now(visit))
    if isinstance(pending, Authorizing):
        pending = replace(pending, answered_by=session.login_id)
    return redirect(resume(visit, pending))


def _refused(visit: Visit, pending: Pending, reason: str, *, wait: int = 0) -> AnyResponse:
    visit.denied(_login_error(reason))
    if wait:
        text = f"Too many attempts. Try again in {_spoken(wait)}, or use another way to log in."
        response = _render(visit, pending, error=text, status=429)
        response.headers["Retry-After"] = str(wait)
        return response
    return _render(visit, pending, error="That did not work. Check it and try again.", status=401)


def _login_error(reason: str) -> OAuthError:
    return UnusableLogin(reason=reason)


def _spoken(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"


def _now(visit: Visit) -> datetime:
    return visit.context.provenance.occurred_at
