"""What the person says on the consent page and takes back on its account page."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from application.administration.deciding import DecidingService
from application.ending import EndingService, end_family, end_tokens
from application.errors import ConflictingState
from application.insisting import ATTEMPTS, insist, stand_back
from application.ledger.errors import Conflict
from application.ports import EventLog
from application.standing_consent import Agreed
from domain.consents import Consents
from domain.provenance import Provenance
from domain.recorded import Recorded
from domain.session import Session

ENDED_AT_ONCE = 16
"""Families: they share commits, and leave the log to others in between."""
WITHDRAWN = "consent withdrawn"

T = TypeVar("T")


async def give_consent(
    agreed: Agreed, session: Session, *, service: DecidingService, provenance: Provenance
) -> None:
    """Remember what the person lets the client have.

    Raises ConflictingState after lost races, LedgerUnavailable.
    """
    turn = service.turns.of(Consents.stream(session.subject))
    for _ in range(ATTEMPTS):
        async with turn.queue:
            try:
                async with turn.stream:
                    consents = await consents_of(session.subject, service.log, provenance)
                    consents.give(
                        agreed.client_id,
                        agreed.scope,
                        resource=agreed.resource,
                        redirect_target=agreed.redirect_target,
                        session_id=session.session_id,
                        provenance=provenance,
                    )
                    await service.log.save(consents)
                    return
            except Conflict as lost:
                await stand_back(lost)
    raise ConflictingState("the consents are being changed; try again")


async def withdraw_consent(
    client_id: str, subject: str, *, service: DecidingService, provenance: Provenance
) -> None:
    """Let the client have nothing any more.

    What it was issued before is the caller's to end. Raises TemporarilyUnavailable after too many
    lost races, LedgerUnavailable.
    """
    stream_id = Consents.stream(subject)

    async def decide() -> Sequence[Recorded]:
        consents = await service.log.load(stream_id)
        if not isinstance(consents, Consents):
            return []
        consents.withdraw(client_id, provenance=provenance)
        return [consents]

    turn = service.turns.of(stream_id)
    async with turn.stream:
        await insist(service.log, decide)


async def end_families(
    family_ids: Iterable[UUID],
    service: EndingService,
    *,
    by: str,
    provenance: Provenance,
    reason: str = WITHDRAWN,
) -> None:
    """Revoke what was held on a consent that was withdrawn, or of a person that was deactivated:
    all that can be, and only then raise what became of the others, TemporarilyUnavailable or
    LedgerUnavailable.
    """

    async def end(family_id: UUID) -> None:
        await end_family(family_id, service, by=by, reason=reason, provenance=provenance)

    await at_most_at_once(end, family_ids)


async def end_tokens_alone(
    client_id: str,
    session_ids: Iterable[str],
    service: EndingService,
    *,
    by: str,
    provenance: Provenance,
) -> None:
    """Revoke the access tokens that the client was issued under these sessions without a refresh
    token. Raises as `end_families` does.
    """

    async def end(session_id: str) -> None:
        session = await service.log.load(Session.stream(session_id))
        given = session.authorized if isinstance(session, Session) else ()
        alone = [
            one.jti
            for one in given
            if one.client_id == client_id
            and one.family_id is None
            and provenance.occurred_at < one.expires_at
        ]
        if alone:
            await end_tokens(alone, service, by=by, reason=WITHDRAWN, provenance=provenance)

    await at_most_at_once(end, session_ids)


async def at_most_at_once(end: Callable[[T], Awaitable[object]], named: Iterable[T]) -> None:
    """Run `end` for each of `named`, ENDED_AT_ONCE at a time, and raise what became of those that
    failed once all are through.
    """
    room = asyncio.Semaphore(ENDED_AT_ONCE)

    async def one_of_them(one: T) -> None:
        async with room:
            await end(one)

    outcomes = await asyncio.gather(*map(one_of_them, named), return_exceptions=True)
    for failure in filter(None, outcomes):
        raise failure


async def consents_of(subject: str, log: EventLog, provenance: Provenance) -> Consents:
    """Return the consents of a person, begun and not saved where there are none yet."""
    found = await log.load(Consents.stream(subject))
    return found if isinstance(found, Consents) else Consents.open(subject, provenance=provenance)
