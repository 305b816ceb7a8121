"""What a person changes on its account page about how it logs in: passkeys and the password.

Adding and removing needs a recent login, or the present password: a stolen cookie must not become a
way in of the thief's own, nor leave its person without one.
"""

from base64 import urlsafe_b64decode
from dataclasses import replace

from litestar import MediaType, Response

from api.ending_sessions import end_sessions_of
from api.ends_of_people import caught_up
from api.login_pages import ACCOUNT_PATH
from api.visit import AnyResponse, Visit, path_with, redirect
from application.account import record_passkey, set_login
from application.errors import (
    ConflictingState,
    InvalidRequest,
    NotFound,
    TemporarilyUnavailable,
    TooManyRequests,
)
from application.logins import logged_in, require_recent
from application.people.passkeys import PasskeyRefused
from application.people.passwords import PresentedPassword
from domain.provenance import Provenance
from domain.session import Session
from domain.visible_text import problem_with_name


async def passkey_options(visit: Visit, session: Session) -> AnyResponse:
    """Return what the browser needs to make a passkey. Raises AccessDenied, InvalidRequest."""
    await visit.service.rate_limits.login.require_known(session.subject)
    require_recent(session, visit.context.provenance.occurred_at)
    service = visit.service
    logins = await service.credentials.logins_of(session.subject)
    try:
        options = await service.passkeys.registration_options(
            session.subject,
            login=logins[0] if logins else session.subject,
            now=visit.context.provenance.occurred_at,
        )
    except PasskeyRefused as refused:
        raise InvalidRequest(str(refused)) from None
    return Response(options, media_type=MediaType.JSON, headers={"Cache-Control": "no-store"})


async def add_passkey(visit: Visit, session: Session) -> AnyResponse:
    """Keep the passkey that the browser made. Raises as above."""
    require_recent(session, visit.context.provenance.occurred_at)
    label = (visit.form.get("label") or "").strip()[:60].strip() or "Passkey"
    if (problem := problem_with_name(label)) is not None:
        raise InvalidRequest(f"the name of a passkey {problem}")
    try:
        passkey = await visit.service.passkeys.register(
            session.subject,
            visit.form.get("response") or "",
            label=label,
            now=visit.context.provenance.occurred_at,
        )
    except PasskeyRefused as refused:
        raise InvalidRequest("the passkey was not accepted", reason=refused.reason) from None
    await record_passkey(
        session.subject,
        passkey.credential_id,
        added=True,
        service=visit.service,
        provenance=_by_person(visit, session),
    )
    return redirect(path_with(ACCOUNT_PATH, done="passkey"))


async def remove_passkey(visit: Visit, session: Session) -> AnyResponse:
    """Remove a passkey. Raises as above, and NotFound."""
    # Else a stolen cookie would leave its person with what the thief knows, or with nothing.
    require_recent(session, visit.context.provenance.occurred_at)
    try:
        credential_id = urlsafe_b64decode((visit.form.get("credential") or "").encode())
    except ValueError:
        raise InvalidRequest("the credential is malformed") from None
    removed = await visit.service.credentials.remove_passkey(credential_id, subject=session.subject)
    if not removed:
        raise NotFound("there is no such passkey of yours")
    await record_passkey(
        session.subject,
        credential_id,
        added=False,
        service=visit.service,
        provenance=_by_person(visit, session),
    )
    return redirect(path_with(ACCOUNT_PATH, done="passkey-removed"))


async def set_password(visit: Visit, session: Session) -> AnyResponse:
    """Set the first password, or another one in place of the present. Raises as above."""
    service, subject = visit.service, session.subject
    by = _by_person(visit, session)
    # Looked at before the present password is compared, and replaced only if it is that still: a
    # thief who compared the old one in time must not undo the change of its owner.
    present = await service.passwords.set_at(subject)
    if present is not None:
        await _require_present_password(visit, session)
    else:
        require_recent(session, by.occurred_at)
    new = PresentedPassword(visit.form.get("new") or "")
    await set_login(subject, None, new, service=service, provenance=by, present=present)
    if present is None:
        return redirect(path_with(ACCOUNT_PATH, done="password"))
    return await _only_this_session(visit, session)


async def _require_present_password(visit: Visit, session: Session) -> None:
    """A stolen cookie must not become a stolen account, nor a place to guess at the password.

    Counted by person: a thief comes from as many addresses as it likes. No success is taken back,
    so that nobody makes the service hash without end.
    """
    service, now = visit.service, visit.context.provenance.occurred_at
    attempt = await service.throttle.admit("present password", session.subject, now=now)
    if attempt.wait:
        raise TooManyRequests(attempt.wait, reason="present password throttled")
    current = PresentedPassword(visit.form.get("current") or "")
    if not await service.passwords.verify(session.subject, current):
        raise InvalidRequest("the present password is another one", reason="wrong password")


async def _only_this_session(visit: Visit, session: Session) -> AnyResponse:
    """End what was begun with the old password, copies of this very cookie too: the present
    password was a login, and the session goes on under a new one.
    """
    here = await logged_in(
        session.subject, ("pwd",), session, context=visit.context, service=visit.service
    )
    visit.browser.keep_session(here)
    done = "password-changed"
    try:
        await end_sessions_of(
            session.subject,
            visit.service,
            reason="password changed",
            provenance=_by_person(visit, session),
            but=here.session_id,
        )
    except (TemporarilyUnavailable, ConflictingState) as error:
        visit.denied(error)
        done = "password-left"
    await caught_up(visit.service)  # the page to come shows what is alive
    return redirect(path_with(ACCOUNT_PATH, done=done))


def _by_person(visit: Visit, session: Session) -> Provenance:
    return replace(visit.context.provenance, by=session.subject)
