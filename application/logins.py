"""From a proof of who a person is to the session of its browser.

The cookie is derived from the session's stream and the number of logins in it: nothing is stored,
and a new login voids the cookie that was there before, which somebody might have copied.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from application.derived_tokens import TokenKind, UnreadableToken
from application.ending import end_session
from application.errors import AccessDenied
from application.insisting import insist
from application.issuing_service import IssuingService
from application.ledger.errors import StreamUnreadable
from application.request_context import RequestContext
from application.turns import Turns
from domain.provenance import Provenance
from domain.recorded import Recorded
from domain.session import Session

RECENT = timedelta(minutes=15)
"""How long after a login its person may add another way to log in, or remove one."""


class LoginService(IssuingService, Protocol):
    """What sessions of people need."""

    @property
    def session_lifetime(self) -> timedelta:
        """How long a login counts."""

    @property
    def turns(self) -> Turns:
        """Who uses which stream in this process."""


async def logged_in(
    subject: str,
    methods: tuple[str, ...],
    present: Session | None,
    *,
    context: RequestContext,
    service: LoginService,
    authenticated_at: datetime | None = None,
) -> Session:
    """Return the session of a person that proved who it is by `methods` (RFC 8176), at
    `authenticated_at` (aware, UTC; None: at this moment).

    The browser's `present` session goes on where it is the same person's. Another person's ends:
    no cookie would lead to it any more, and its grants would outlive every way to log out of it. So
    does a full one. Raises TemporarilyUnavailable where it cannot be ended at the moment,
    LedgerUnavailable.
    """
    provenance, lifetime = context.provenance, service.session_lifetime
    if present is not None and (reason := _reason_to_end(present, subject, provenance.occurred_at)):
        await end_session(
            present.session_id, service, by=subject, reason=reason, provenance=provenance
        )
    elif present is not None:
        again = await _again(
            present,
            methods,
            lifetime=lifetime,
            authenticated_at=authenticated_at,
            service=service,
            provenance=provenance,
        )
        if again is not None:
            return again
    session = Session.start(
        service.ids.stream_id(provenance.occurred_at),
        subject=subject,
        methods=methods,
        lifetime=lifetime,
        origin=context.origin,
        provenance=provenance,
        authenticated_at=authenticated_at,
        subject_version=version_of(subject, service),
        pepper_id=service.derived.pepper_id,
    )
    await service.log.save(session)
    return session


async def _again(
    present: Session,
    methods: tuple[str, ...],
    *,
    lifetime: timedelta,
    authenticated_at: datetime | None,
    service: LoginService,
    provenance: Provenance,
) -> Session | None:
    """Record another login in a session and return it; None where it ended meanwhile.

    It voids the cookie that was there before, and is an end in that: whoever copied the cookie must
    not keep it by using the session in a loop. Raises TemporarilyUnavailable after too many lost
    races, LedgerUnavailable.
    """
    decided: list[Session] = []

    async def decide() -> Sequence[Recorded]:
        session = await service.log.load(present.id)
        decided[:] = [session] if isinstance(session, Session) and not session.ended else []
        for one in decided:
            one.authenticate_again(
                methods=methods,
                lifetime=lifetime,
                provenance=provenance,
                authenticated_at=authenticated_at,
                pepper_id=service.derived.pepper_id,
            )
        return decided

    turn = service.turns.of(present.id)
    async with turn.stream:
        await insist(service.log, decide)
    return decided[0] if decided else None


def version_of(subject: str, service: IssuingService) -> int | None:
    """Return the version of a principal that a decision rests upon, None for an unknown one."""
    principal = service.directory.principal(subject)
    return principal.version if principal is not None else None


def ended_for(session: Session, service: IssuingService) -> bool:
    """Tell whether a session ended, by an act upon it or by a deactivation of its person."""
    person = service.directory.principal(session.subject)
    stands = person is not None and person.stands_behind(
        session.subject_version, session.started_at
    )
    return session.ended or not stands


def _reason_to_end(present: Session, subject: str, now: datetime) -> str:
    if present.subject != subject:
        return "somebody else logged in"
    return "full, and followed by another" if present.full(now) else ""


def session_cookie(session: Session, service: LoginService) -> str:
    """Return the value that the browser shows for this session from now on."""
    return service.derived.derive(TokenKind.SESSION, session.id, generation=session.logins)


async def session_of(cookie: str | None, *, now: datetime, service: LoginService) -> Session | None:
    """Return the live session that a browser shows; None for everything else.

    Its person must be active. Raises LedgerUnavailable.
    """
    try:
        shown = service.derived.read(TokenKind.SESSION, cookie or "")
    except UnreadableToken:
        return None
    try:
        session = await service.log.load(shown.stream_id)
    except StreamUnreadable:  # else its browser could not even log in anew
        return None
    if not isinstance(session, Session) or shown.generation != session.logins:
        return None
    if session.pepper_id not in ("", shown.pepper_id):
        return None
    return session if session.live(now) and not ended_for(session, service) else None


def is_recent(session: Session, now: datetime) -> bool:
    """Tell whether the login is recent enough to change what its person logs in by."""
    return now - session.authenticated_at <= RECENT


def require_recent(session: Session, now: datetime) -> None:
    """Raise AccessDenied unless the login is recent: a stolen cookie must not become a way in of
    the thief's own.
    """
    if not is_recent(session, now):
        raise AccessDenied("log in again first: your login was some time ago")
