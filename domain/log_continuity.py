"""That the log went back: what it lost, and since when it goes on.

One stream an occurrence, in the directory partition. Its id comes from the last event that the log
kept: every process that notices the same loss writes the same stream, so that one of them does.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from domain.ids import directory_id
from domain.provenance import Provenance
from domain.recorded import Administered

CLOCK_MARGIN = timedelta(seconds=5)
"""How far the clock of a service may be from the database's, by which a loss is measured."""


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """Which log a process follows: `log_id` is made with the log, the others tell its server."""

    log_id: str
    system_identifier: str
    timeline: int


@dataclass(frozen=True, slots=True)
class LogLoss:
    """What a process found out when the log was not what it had been.

    `known_position` and `known_event` (SHA-256) name the newest event that was known and is gone.
    `resumed_after` is the position of the last event that is left of it, and `lost_from` its moment
    (0 and None where nothing is left). Everything recorded from then to `lost_until` is lost;
    `known_at` is the moment of the newest event that the process had seen.
    """

    known_position: int
    known_event: str
    resumed_after: int
    lost_from: datetime | None
    lost_until: datetime
    known_at: datetime
    previous: FollowedLog
    present: FollowedLog


class LogContinuity(Administered):
    """One occurrence."""

    TOPIC = "log"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        resumed_after: int
        lost_from: datetime | None
        lost_until: datetime

    class Event(Administered.Event):
        """Something about the continuity of the log."""

    class LogWentBack(Event, Administered.Created):
        """What was recorded after the position `resumed_after`, from `lost_from` (None: from the
        beginning) to `lost_until`, is lost: the log was restored, or a standby that lacked it was
        promoted. `known_position` and `known_event` (SHA-256) name the newest event that
        `found_by` knew. `previous_*` and the fields of the same names tell the log that was
        followed before, and the one since.
        """

        TOPIC = "log.went_back"
        resumed_after: int
        lost_from: datetime | None
        lost_until: datetime
        known_position: int
        known_event: str
        log_id: str
        system_identifier: str
        timeline: int
        previous_log_id: str
        previous_system_identifier: str
        previous_timeline: int
        found_by: str

        def apply(self, aggregate: "LogContinuity") -> None:
            aggregate.resumed_after = self.resumed_after
            aggregate.lost_from = self.lost_from
            aggregate.lost_until = self.lost_until

    Created = LogWentBack  # the inherited name: every event has its topic

    @staticmethod
    def stream(resumed_after: int, number: int) -> UUID:
        """Return the id of the stream about a log that goes on after this position.

        `number` counts, from 0, losses with the same last event that are not one.
        """
        return directory_id("log", f"{resumed_after}:{number}")

    @classmethod
    def went_back(
        cls, loss: LogLoss, *, number: int, found_by: str, provenance: Provenance
    ) -> "LogContinuity":
        """Record what was lost."""
        return cls._begin(
            cls.LogWentBack,
            cls.stream(loss.resumed_after, number),
            provenance,
            resumed_after=loss.resumed_after,
            lost_from=loss.lost_from,
            lost_until=loss.lost_until,
            known_position=loss.known_position,
            known_event=loss.known_event,
            log_id=loss.present.log_id,
            system_identifier=loss.present.system_identifier,
            timeline=loss.present.timeline,
            previous_log_id=loss.previous.log_id,
            previous_system_identifier=loss.previous.system_identifier,
            previous_timeline=loss.previous.timeline,
            found_by=found_by,
        )

    def covers(self, moment: datetime) -> bool:
        """Tell whether what was recorded at `moment` may be lost, by the clock of a service.

        `iat` of a token has whole seconds, which the margin takes in as well.
        """
        begins = self.lost_from is None or moment >= self.lost_from - CLOCK_MARGIN
        return begins and moment <= self.lost_until + CLOCK_MARGIN
