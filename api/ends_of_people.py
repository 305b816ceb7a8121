"""Ends that concern many streams: all that a client holds of a person, and all that a person has.

The read model of sessions tells which they are. It may be behind: what is begun after the act is
refused by the act itself (application.standing_consent; domain.principal), what was begun before is
in the read model once that has reached what was the head of the log at the act.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from time import monotonic

from api.composition import Service
from application.administration import principals
from application.authorization.consenting import (
    at_most_at_once,
    end_families,
    end_tokens_alone,
    withdraw_consent,
)
from application.ending import end_session
from application.errors import TemporarilyUnavailable
from application.ledger.errors import LedgerUnavailable
from domain.principal import Principal
from domain.provenance import Provenance
from projections import sessions
from projections.as_of import log_head

CATCH_UP_SECONDS = 5.0
_DEACTIVATED = "its person was deactivated"

_log = logging.getLogger(__name__)


async def withdraw(
    client_id: str, subject: str, *, service: Service, provenance: Provenance
) -> None:
    """End a consent, and every family and access token that the client was issued on it.

    A second try has nothing to withdraw any more, and looks for all of it again. Raises
    TemporarilyUnavailable where something may be left, LedgerUnavailable.
    """
    await withdraw_consent(client_id, subject, service=service, provenance=provenance)
    complete = await caught_up(service)
    now = provenance.occurred_at
    families = await service.read_models.fetch(sessions.families_of(subject, client_id, now=now))
    await end_families(families, service, by=subject, provenance=provenance)
    # A grant without a refresh token has no family: its token is on the session's stream alone.
    client = service.directory.client(client_id)
    lifetime = (client.tokens.lifetime if client else None) or service.policy.lifetime
    since = now - timedelta(seconds=lifetime)
    authorizing = await service.read_models.fetch(sessions.authorizing(subject, since=since))
    await end_tokens_alone(client_id, authorizing, service, by=subject, provenance=provenance)
    if not complete:
        raise TemporarilyUnavailable(reason="the sessions read model is behind")


async def deactivate(subject: str, *, service: Service, provenance: Provenance) -> Principal:
    """Withdraw a principal's authority, and record the end of its sessions and families.

    The deactivation alone makes all of it void for good (domain.principal). Where the read models
    cannot be read or are behind, the events that say so of each are missing until the next try.
    Raises NotFound, TemporarilyUnavailable, LedgerUnavailable.
    """
    principal = await principals.set_active(
        subject, active=False, service=service, provenance=provenance
    )
    try:
        complete = await caught_up(service)
        await _end_all(subject, service, provenance)
    except LedgerUnavailable:
        complete = False
    if not complete:
        _log.warning("a deactivation is recorded, but perhaps not each end of a session with it")
    return principal


async def _end_all(subject: str, service: Service, provenance: Provenance) -> None:
    by, reason = provenance.by, provenance.why or _DEACTIVATED

    async def end(session_id: str) -> None:
        await end_session(session_id, service, by=by, reason=reason, provenance=provenance)

    async for page in _sessions_of(subject, service, provenance):
        await at_most_at_once(end, page)
    families = await service.read_models.fetch(
        sessions.families_of(subject, None, now=provenance.occurred_at)
    )
    await end_families(families, service, by=by, reason=reason, provenance=provenance)


async def _sessions_of(
    subject: str, service: Service, provenance: Provenance
) -> AsyncIterator[list[str]]:
    before = None
    while True:
        found = await service.read_models.fetch(
            sessions.logins(subject, now=provenance.occurred_at, before=before)
        )
        yield [one.id for one in found]
        if len(found) < sessions.PAGE:
            return
        before = found[-1].id


async def caught_up(service: Service, *, seconds: float = CATCH_UP_SECONDS) -> bool:
    """Wait until the sessions are complete up to what is the head of the log now; False where that
    takes longer than `seconds`. Raises LedgerUnavailable.
    """
    deadline = monotonic() + seconds
    (head,) = await service.read_models.fetch(log_head())
    while monotonic() < deadline:
        reached = await service.read_models.fetch(sessions.position())
        if reached and reached[0] >= head:
            return True
        await asyncio.sleep(0.05)
    return False
