"""What became of one month of the log: when it was taken out of the database, and put back.

One stream a partition, in the directory partition, which always stays: the log itself says which of
its months are elsewhere, and by which hash they are recognised.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from domain.ids import directory_id
from domain.provenance import Provenance
from domain.recorded import Administered


class Retention(Administered):
    """The fate of the partition `partition`."""

    TOPIC = "retention"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        partition: str
        detached: bool

    class Event(Administered.Event):
        """Something about one partition of the log."""

        partition: str

    class Opened(Event, Administered.Created):
        """The partition is about to leave the database for the first time."""

        TOPIC = "retention.opened"

        def apply(self, aggregate: "Retention") -> None:
            aggregate.partition = self.partition
            aggregate.detached = False

    Created = Opened  # the inherited name: every event has its topic

    class Detached(Event):
        """Its `rows` events, from first to last position, are archived by the manifest with this
        SHA-256, verified, and leave the log right after this event; `dropped` says that the
        database keeps no copy.
        """

        TOPIC = "retention.detached"
        rows: int
        first_position: int
        last_position: int
        manifest_sha256: str
        dropped: bool

        def apply(self, aggregate: "Retention") -> None:
            aggregate.detached = True

    class Restored(Event):
        """The partition comes back right after this event, from the archive with this manifest."""

        TOPIC = "retention.restored"
        manifest_sha256: str

        def apply(self, aggregate: "Retention") -> None:
            aggregate.detached = False

    @staticmethod
    def stream(partition: str) -> UUID:
        """Return the stream id of the fate of `partition`."""
        return directory_id("retention", partition)

    @classmethod
    def open(cls, partition: str, *, provenance: Provenance) -> "Retention":
        """Begin the stream of a partition."""
        return cls._begin(cls.Opened, cls.stream(partition), provenance, partition=partition)

    def detach(
        self,
        *,
        rows: int,
        first_position: int,
        last_position: int,
        manifest_sha256: str,
        dropped: bool,
        provenance: Provenance,
    ) -> None:
        """Say that the partition leaves; again where an attempt was broken off before it did."""
        self._record(
            self.Detached,
            provenance,
            partition=self.partition,
            rows=rows,
            first_position=first_position,
            last_position=last_position,
            manifest_sha256=manifest_sha256,
            dropped=dropped,
        )

    def restore(self, *, manifest_sha256: str, provenance: Provenance) -> None:
        """Say that the partition comes back."""
        self._record(
            self.Restored,
            provenance,
            partition=self.partition,
            manifest_sha256=manifest_sha256,
        )
