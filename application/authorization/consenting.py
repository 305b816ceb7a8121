"""What the person says on the consent page and takes back on its account page."""

from application.administration.deciding import DecidingService
from application.ending import ATTEMPTS
from application.errors import ConflictingState
from application.ledger.errors import Conflict
from application.ports import EventLog
from domain.consents import Consents
from domain.provenance import Provenance
from domain.session import Session


async def give_consent(
    client_id: str,
    scope: tuple[str, ...],
    session: Session,
    *,
    service: DecidingService,
    provenance: Provenance,
) -> None:
    """Remember that the person lets the client have `scope`.

    Raises ConflictingState after lost races, LedgerUnavailable.
    """
    async with service.turns.of(Consents.stream(session.subject)):
        for _ in range(ATTEMPTS):
            consents = await consents_of(session.subject, service.log, provenance)
            consents.give(client_id, scope, session_id=session.session_id, provenance=provenance)
            try:
                await service.log.save(consents)
            except Conflict:
                continue
            return
    raise ConflictingState("the consents are being changed; try again")


async def withdraw_consent(
    client_id: str, subject: str, *, service: DecidingService, provenance: Provenance
) -> int:
    """Let the client have nothing any more; return the log position, 0 where it had nothing.

    What it was issued before is the caller's to end. Raises as `give_consent` does.
    """
    stream_id = Consents.stream(subject)
    async with service.turns.of(stream_id):
        for _ in range(ATTEMPTS):
            consents = await service.log.load(stream_id)
            if not isinstance(consents, Consents):
                return 0
            consents.withdraw(client_id, provenance=provenance)
            try:
                return await service.log.save(consents)
            except Conflict:
                continue
    raise ConflictingState("the consents are being changed; try again")


async def consents_of(subject: str, log: EventLog, provenance: Provenance) -> Consents:
    """Return the consents of a person, begun and not saved where there are none yet."""
    found = await log.load(Consents.stream(subject))
    return found if isinstance(found, Consents) else Consents.open(subject, provenance=provenance)
