"""Ending the sessions of a person whose password was changed, reset or forgotten.

An attacker who knew the old one may be logged in with it: everything that is alive of the person
ends, refresh tokens of sessions that expired included. What began before is in the read model once
that has reached the head of the log; a login that was under way meanwhile finds another password
than it was let in with, and ends by itself (api.login_pages).
"""

import asyncio
from datetime import timedelta

from api.composition import Service
from api.ends_of_people import caught_up
from application.authorization.consenting import ENDED_AT_ONCE
from application.ending import end_session
from application.errors import TemporarilyUnavailable
from domain.provenance import Provenance
from projections import sessions as read_sessions

_LONGEST_TOKEN = timedelta(days=1)
"""No access token lives longer."""


async def end_sessions_of(
    subject: str, service: Service, *, reason: str, provenance: Provenance, but: str | None = None
) -> int:
    """End the sessions of `subject` except `but`, and return how many there were.

    All that can be, and only then raises TemporarilyUnavailable, where the read model is behind,
    or LedgerUnavailable: a second try ends what is left.
    """
    complete = await caught_up(service)
    now = provenance.occurred_at
    # A session that expired may have left a family, or an access token alone.
    found = {
        *await service.read_models.fetch(read_sessions.to_end(subject, now=now)),
        *await service.read_models.fetch(
            read_sessions.authorizing(subject, since=now - _LONGEST_TOKEN)
        ),
    }
    others = found - {but}
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
