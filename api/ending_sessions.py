"""Ending the sessions of a person whose password was changed, reset or forgotten.

An attacker who knew the old one may be logged in with it: everything that is alive of the person
ends, refresh tokens of sessions that expired included. What began before is in the read model once
that has reached the head of the log; a login that was under way meanwhile finds another password
than it was let in with, and ends by itself (api.login_pages).
"""

import asyncio
from time import monotonic

from api.composition import Service
from application.authorization.consenting import ENDED_AT_ONCE
from application.ending import end_session
from application.errors import TemporarilyUnavailable
from domain.provenance import Provenance
from projections import sessions as read_sessions
from projections.as_of import log_head

_CATCH_UP_SECONDS = 5.0


async def end_sessions_of(
    subject: str, service: Service, *, reason: str, provenance: Provenance, but: str | None = None
) -> int:
    """End the sessions of `subject` except `but`, and return how many there were.

    All that can be, and only then raises TemporarilyUnavailable, where the read model is behind,
    ConflictingState or LedgerUnavailable: a second try ends what is left.
    """
    complete = await caught_up(service)
    found = await service.read_models.fetch(
        read_sessions.to_end(subject, now=provenance.occurred_at)
    )
    others = [session_id for session_id in found if session_id != but]
    room = asyncio.Semaphore(ENDED_AT_ONCE)

    async def end(session_id: str) -> None:
        async with room:
            await end_session(
                session_id, service, by=provenance.by, reason=reason, provenance=provenance
            )

    outcomes = await asyncio.gather(*map(end, others), return_exceptions=True)
    for failure in filter(None, outcomes):
        raise failure
    if not complete:
        raise TemporarilyUnavailable(reason="the sessions read model is behind")
    return len(others)


async def caught_up(service: Service) -> bool:
    """Wait until the sessions are complete up to what is the head of the log now; False where that
    takes longer than _CATCH_UP_SECONDS. Raises LedgerUnavailable.
    """
    deadline = monotonic() + _CATCH_UP_SECONDS
    (head,) = await service.read_models.fetch(log_head())
    while monotonic() < deadline:
        reached = await service.read_models.fetch(read_sessions.position())
        if reached and reached[0] >= head:
            return True
        await asyncio.sleep(0.05)
    return False
