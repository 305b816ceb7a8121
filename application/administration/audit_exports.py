"""Records that the audit trail is exported: before the first file, and once all are there."""

from typing import Protocol

from application.ports import EventLog, Ids
from domain.audit_export import AuditExport
from domain.provenance import Provenance


class ExportingService(Protocol):
    """What recording an export takes."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def ids(self) -> Ids:
        """Fresh names."""


async def start(
    *,
    first_position: int,
    last_position: int,
    rows: int,
    service: ExportingService,
    provenance: Provenance,
) -> AuditExport:
    """Record that `rows` events of the range are about to be written. Raises LedgerUnavailable."""
    begun = AuditExport.start(
        service.ids.stream_id(provenance.occurred_at),
        first_position=first_position,
        last_position=last_position,
        rows=rows,
        provenance=provenance,
    )
    await service.log.save(begun)
    return begun


async def finish(
    begun: AuditExport,
    *,
    first_position: int,
    last_position: int,
    rows: int,
    files: int,
    manifest_sha256: str,
    service: ExportingService,
    provenance: Provenance,
) -> None:
    """Record what the directory holds after `begun`. Raises LedgerUnavailable."""
    begun.finish(
        first_position=first_position,
        last_position=last_position,
        rows=rows,
        files=files,
        manifest_sha256=manifest_sha256,
        provenance=provenance,
    )
    await service.log.save(begun)
