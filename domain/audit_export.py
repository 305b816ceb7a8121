"""An export of the audit trail: that the record itself was carried away, by whom, and what of it.

Begun before the first file is written, so that no data leaves unrecorded; an export that was broken
off shows as one that never finished. The hash of the manifest lets anybody prove later that files
are those that were exported then.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from domain.provenance import Provenance
from domain.recorded import Administered


class AuditExport(Administered):
    """One run that writes files."""

    TOPIC = "audit_export"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        finished: bool

    class Event(Administered.Event):
        """Something about an export of the positions first to last, both inclusive."""

        first_position: int
        last_position: int
        rows: int

    class Started(Event, Administered.Created):
        """`rows` events of the range are about to be written."""

        TOPIC = "audit_export.started"

        def apply(self, aggregate: "AuditExport") -> None:
            aggregate.finished = False

    Created = Started  # the inherited name: every event has its topic

    class Finished(Event):
        """The directory holds `rows` events in `files` files, by a manifest with this SHA-256."""

        TOPIC = "audit_export.finished"
        files: int
        manifest_sha256: str

        def apply(self, aggregate: "AuditExport") -> None:
            aggregate.finished = True

    @classmethod
    def start(
        cls,
        stream_id: UUID,
        *,
        first_position: int,
        last_position: int,
        rows: int,
        provenance: Provenance,
    ) -> "AuditExport":
        """Begin an export; `stream_id` is a fresh UUIDv7."""
        return cls._begin(
            cls.Started,
            stream_id,
            provenance,
            first_position=first_position,
            last_position=last_position,
            rows=rows,
        )

    def finish(
        self,
        *,
        first_position: int,
        last_position: int,
        rows: int,
        files: int,
        manifest_sha256: str,
        provenance: Provenance,
    ) -> None:
        """Say what the directory holds now; a second time changes nothing."""
        if not self.finished:
            self._record(
                self.Finished,
                provenance,
                first_position=first_position,
                last_position=last_position,
                rows=rows,
                files=files,
                manifest_sha256=manifest_sha256,
            )
