"""The page where a person sees who may act for it and where it is logged in, and ends both."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from api.authorize_pages import LOGIN_PATH
from api.composition import Service
from api.ends_of_people import caught_up, withdraw
from api.factor_pages import add_passkey, passkey_options, remove_passkey, set_password
from api.login_pages import ACCOUNT_PATH
from api.visit import AnyRequest, AnyResponse, PageFrame, Visit, described, path_with, redirect
from application.authorization.pending import VisitingAccount
from application.ending import end_session
from application.errors import InvalidRequest, NotFound
from application.logins import is_recent
from domain.consents import Consent, Consents
from domain.session import Session
from projections import sessions as read_sessions
from projections.sessions import PAGE, SessionEntry

_SHOWN_SECONDS = 0.5
_NOTICES = {
    "consent": "The consent was withdrawn. What the client held to stay logged in is void.",
    "session": "The session was ended.",
    "passkey": "The passkey was added.",
    "passkey-removed": "The passkey was removed.",
    "password": "The password was set.",
    "password-changed": "The password was changed. Your other sessions were ended.",
    "password-left": "The password was changed. Your other sessions could not all be ended yet:"
    " change it once more in a moment.",
}
Act = Callable[[Visit, Session], Awaitable[AnyResponse]]


def account_routes(frame: PageFrame) -> list[HTTPRouteHandler]:
    """Return the routes of the account page."""

    @get(ACCOUNT_PATH, include_in_schema=False)
    async def account(request: AnyRequest) -> Any:
        return await frame.show("account", request, _for_person(_page))

    def taking(path: str, act: Act) -> HTTPRouteHandler:
        @post(path, include_in_schema=False)
        async def take(request: AnyRequest) -> Any:
            return await frame.take("account", request, _for_person(act))

        return take

    return [
        account,
        taking("/account/logout", _log_out),
        taking("/account/sessions/end", _end_session),
        taking("/account/consents/withdraw", _withdraw),
        taking("/account/passkeys/options", passkey_options),
        taking("/account/passkeys", add_passkey),
        taking("/account/passkeys/remove", remove_passkey),
        taking("/account/password", set_password),
    ]


def _for_person(act: Act) -> Callable[[Visit], Awaitable[AnyResponse]]:
    async def work(visit: Visit) -> AnyResponse:
        session = await visit.session()
        if session is None:
            pending = VisitingAccount(visit.context.provenance.occurred_at)
            return redirect(path_with(LOGIN_PATH, request=visit.sealed(pending)))
        return await act(visit, session)

    return work


async def _page(visit: Visit, session: Session) -> AnyResponse:
    service, subject = visit.service, session.subject
    now, before = visit.context.provenance.occurred_at, _seen_last(visit)
    logins, passkeys, password, consents, holders, alive = await asyncio.gather(
        service.credentials.logins_of(subject),
        service.credentials.passkeys_of(subject),
        service.credentials.password_of(subject),
        service.log.load(Consents.stream(subject)),
        service.read_models.fetch(read_sessions.holders(subject, now=now)),
        service.read_models.fetch(read_sessions.logins(subject, now=now, before=before)),
    )
    return visit.render(
        "account.html",
        login=logins[0] if logins else subject,
        notice=_NOTICES.get(visit.form.get("done") or ""),
        sessions=_sessions(alive, session),
        older=path_with(ACCOUNT_PATH, before=alive[-1].id) if len(alive) == PAGE else None,
        consents=_consents(consents, holders, service),
        passkeys=[
            {
                "credential": urlsafe_b64encode(one.credential_id).decode(),
                "label": one.label,
                "added": one.added_at,
            }
            for one in passkeys
        ],
        has_password=password is not None,
        login_anew=None if is_recent(session, now) else _login_anew(visit),
    )


def _login_anew(visit: Visit) -> str:
    pending = VisitingAccount(visit.context.provenance.occurred_at, anew=True)
    return path_with(LOGIN_PATH, request=visit.sealed(pending))


def _seen_last(visit: Visit) -> str | None:
    """Return the session that the page before ended with. Raises InvalidRequest."""
    before = visit.form.get("before")
    try:
        return before if before is None else Session.name_of(Session.stream(before))
    except ValueError:
        raise InvalidRequest("before: the id of a session") from None


def _sessions(alive: Sequence[SessionEntry], current: Session) -> list[dict[str, Any]]:
    return [
        {
            "session_id": one.id,
            "started": one.started_at,
            "methods": one.methods or [],
            "current": one.id == current.session_id,
        }
        for one in alive
    ]


def _consents(
    consents: Any, holders: Sequence[tuple[str, datetime]], service: Service
) -> list[dict[str, Any]]:
    """Return what the person consented to, and who holds refresh tokens without: a withdrawal that
    broke off left them, and the same button ends them.
    """
    known = consents.by_client if isinstance(consents, Consents) else {}
    given = [_of_one_client(consents) for consents in known.values()]
    left = [Consent(name, (), since) for name, since in holders if name not in known]
    shown = []
    for consent in (*given, *left):
        client = service.directory.client(consent.client_id)
        shown.append(
            {
                "client_id": consent.client_id,
                "client_name": (client.name if client else "") or consent.client_id,
                "self_registered": client is not None and client.registration.source == "dynamic",
                "scopes": described(consent.scope, service.catalogue),
                "resources": consent.resource,
                "given": consent.given_at,
            }
        )
    return shown


def _of_one_client(consents: Sequence[Consent]) -> Consent:
    """Return all that a client may have, since the first that was said of it."""
    scope = dict.fromkeys(name for one in consents for name in one.scope)
    resource = dict.fromkeys(name for one in consents for name in one.resource)
    since = min(one.given_at for one in consents)
    return Consent(consents[0].client_id, tuple(scope), since, tuple(resource))


async def _log_out(visit: Visit, session: Session) -> AnyResponse:
    await _end(visit, session, session.session_id, "logged out")
    visit.browser.forget_session()
    return visit.render("logged_out.html")


async def _end_session(visit: Visit, session: Session) -> AnyResponse:
    wanted = visit.form.get("session_id") or ""
    if wanted == session.session_id:
        return await _log_out(visit, session)
    # The log, and not the form, says whose session it is.
    try:
        found = await visit.service.log.load(Session.stream(wanted))
    except ValueError:
        found = None
    if not isinstance(found, Session) or found.subject != session.subject:
        raise NotFound("there is no such session of yours")
    await _end(visit, session, wanted, "ended by its person")
    return redirect(path_with(ACCOUNT_PATH, done="session"))


async def _end(visit: Visit, session: Session, session_id: str, reason: str) -> None:
    await end_session(
        session_id,
        visit.service,
        by=session.subject,
        reason=reason,
        provenance=visit.context.provenance,
    )


async def _withdraw(visit: Visit, session: Session) -> AnyResponse:
    """End the consent and all that the client was issued on it."""
    client_id, service = visit.form.get("client_id") or "", visit.service
    provenance = visit.context.provenance
    await withdraw(client_id, session.subject, service=service, provenance=provenance)
    # The page to come shows who holds families still. Where it is behind, one button too many.
    await caught_up(service, seconds=_SHOWN_SECONDS)
    return redirect(path_with(ACCOUNT_PATH, done="consent"))
