"""What the person says on the consent page and takes back on its account page."""

from typing import Protocol

from application.administration.deciding import ATTEMPTS
from application.errors import ConflictingState
from application.ledger.errors import Conflict
from application.ports import EventLog
from domain.consents import Consents
from domain.provenance import Provenance
from domain.session import Session


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...


async def give_consent(
    client_id: str,
    scope: tuple[str, ...],
    session: Session,
    *,
    service: _Service,
    provenance: Provenance,
) -> None:
    """Remember that the person lets the client have `scope`.

    Raises ConflictingState after lost races, LedgerUnavailable.
    """
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
    client_id: str, subject: str, *, service: _Service, provenance: Provenance
) -> int:
    """Let the client have nothing any more; return the log position, 0 where it had nothing.

    What it was issued before is the caller's to end. Raises as `give_consent` does.
    """
    for _ in range(ATTEMPTS):
        consents = await service.log.load(Consents.stream(subject))
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
