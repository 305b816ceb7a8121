"""Records that a month of the log leaves the database, or comes back, before it does."""

from typing import Protocol

from application.errors import ConflictingState
from application.ledger.errors import Conflict
from application.ports import EventLog
from domain.provenance import Provenance
from domain.retention import Retention


class RetainingService(Protocol):
    """What recording it takes."""

    @property
    def log(self) -> EventLog:
        """The event log."""


async def record_detached(
    partition: str,
    *,
    rows: int,
    first_position: int,
    last_position: int,
    manifest_sha256: str,
    dropped: bool,
    service: RetainingService,
    provenance: Provenance,
) -> None:
    """Record that the partition leaves. Raises ConflictingState and LedgerUnavailable."""
    fate = await _fate(partition, service, provenance)
    fate.detach(
        rows=rows,
        first_position=first_position,
        last_position=last_position,
        manifest_sha256=manifest_sha256,
        dropped=dropped,
        provenance=provenance,
    )
    await _save(fate, service)


async def record_restored(
    partition: str, *, manifest_sha256: str, service: RetainingService, provenance: Provenance
) -> None:
    """Record that the partition comes back. Raises ConflictingState and LedgerUnavailable."""
    fate = await _fate(partition, service, provenance)
    fate.restore(manifest_sha256=manifest_sha256, provenance=provenance)
    await _save(fate, service)


async def _fate(partition: str, service: RetainingService, provenance: Provenance) -> Retention:
    found = await service.log.load(Retention.stream(partition))
    if isinstance(found, Retention):
        return found
    return Retention.open(partition, provenance=provenance)


async def _save(fate: Retention, service: RetainingService) -> None:
    try:
        await service.log.save(fate)
    except Conflict:
        raise ConflictingState(
            f"{fate.partition} is being detached or restored by another process"
        ) from None
