"""Which files an export consists of: one for each UTC day in each fixed range of positions.

The ranges begin at multiples of RANGE_EVENTS whatever is asked for, so that exports which overlap
agree on their files, and only the last ones grow when an export goes on. A day is that of
`recorded_at`; where a clock was set back, the positions of a file may have holes that another file
of the same range fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.sql import SQL, Composed, Literal

from projections.audit_trail import SET_ASIDE
from projections.export.columns import SELECTED
from projections.query import Query

RANGE_EVENTS = 250_000


@dataclass(frozen=True, slots=True)
class PositionRange:
    """The positions from `first` to `last`, both inclusive."""

    first: int
    last: int

    def joined(self, other: "PositionRange") -> "PositionRange | None":
        """Return both as one, None where they neither overlap nor adjoin."""
        if self.last + 1 < other.first or other.last + 1 < self.first:
            return None
        return PositionRange(min(self.first, other.first), max(self.last, other.last))


@dataclass(frozen=True, slots=True)
class Part:
    """What one file holds: `rows` events of `day`, the moments being those of recording."""

    day: date
    first_position: int
    last_position: int
    rows: int
    first_recorded_at: datetime
    last_recorded_at: datetime

    @property
    def path(self) -> str:
        """The name of the file, from the directory of the export."""
        return (
            f"events/date={self.day.isoformat()}"
            f"/events-{self.first_position:012}-{self.last_position:012}.parquet"
        )

    def statement(self) -> Composed:
        """Return what selects the rows, in the order of the log.

        No parameters: PostgreSQL copies out in binary only what has none.
        """
        return SQL(
            "SELECT {selected} FROM read.audit_trail WHERE position BETWEEN {first} AND {last}"
            " AND (recorded_at AT TIME ZONE 'UTC')::date = {day} ORDER BY position"
        ).format(
            selected=SQL(SELECTED),
            first=Literal(self.first_position),
            last=Literal(self.last_position),
            day=Literal(self.day),
        )


def parts(of: PositionRange, *, range_events: int = RANGE_EVENTS) -> Query[Part]:
    """Ask for the parts of the audit trail in the range `of`, in the order of the log."""
    return Query(
        SQL(
            "SELECT (recorded_at AT TIME ZONE 'UTC')::date AS day, min(position) AS first_position,"
            " max(position) AS last_position, count(*) AS rows,"
            " min(recorded_at) AS first_recorded_at, max(recorded_at) AS last_recorded_at"
            " FROM read.audit_trail WHERE position BETWEEN %(first)s AND %(last)s"
            " GROUP BY (position - 1) / %(range_events)s, day ORDER BY first_position"
        ),
        {"first": of.first, "last": of.last, "range_events": range_events},
        Part,
    )


def set_aside(of: PositionRange) -> Query[tuple[int, str]]:
    """Ask for the events of `of` that a row of the audit trail stands in for: position, topic."""
    return Query(
        SQL(
            "SELECT position, detail ->> 'topic' AS topic FROM read.audit_trail"
            " WHERE topic = %(topic)s AND topic <> 'token.issued'"  # as the index has it
            " AND position BETWEEN %(first)s AND %(last)s ORDER BY position"
        ),
        {"topic": SET_ASIDE, "first": of.first, "last": of.last},
        lambda *, position, topic: (int(position), str(topic)),
    )


def gaps(of: PositionRange, planned: Sequence[Part]) -> Query[PositionRange] | None:
    """Ask for the positions of `of` that the audit trail lacks; None where it lacks none.

    There are some after a month was detached and the read model made anew without it.
    """
    if sum(part.rows for part in planned) == of.last - of.first + 1:
        return None
    return Query(
        SQL(
            "SELECT before + 1 AS first, position - 1 AS last FROM (SELECT position,"
            " lag(position, 1, %(first)s - 1) OVER (ORDER BY position) AS before"
            " FROM (SELECT position FROM read.audit_trail"
            " WHERE position BETWEEN %(first)s AND %(last)s"
            " UNION ALL SELECT %(last)s + 1) AS known) AS steps"
            " WHERE position > before + 1 ORDER BY first"
        ),
        {"first": of.first, "last": of.last},
        PositionRange,
    )
