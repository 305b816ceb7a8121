"""What can go wrong between a decision and its record.

LedgerError
├── Conflict           another writer was first on that stream: reload and decide again
│   └── EndAnnounced   an end of that stream comes first: wait a moment, then do the same
├── UnitRejected       the store refuses this unit itself: retrying it will not help
└── LedgerUnavailable  no answer from PostgreSQL: nothing may be handed out
    └── StreamUnreadable  one stream cannot be decoded: nothing may be decided upon it
"""


class LedgerError(Exception):
    """A unit of events was not recorded, or is not known to be."""


class Conflict(LedgerError):
    """Another writer recorded that version of the stream first."""


class EndAnnounced(Conflict):
    """Another writer announced that it ends the stream."""


class UnitRejected(LedgerError):
    """The store refuses this unit whatever else is in the batch."""


class LedgerUnavailable(LedgerError):
    """PostgreSQL did not answer in time; the caller must answer 503 and hand out nothing."""


class StreamUnreadable(LedgerUnavailable):
    """An event of this stream cannot be decoded: what it decides is refused, all else goes on."""
