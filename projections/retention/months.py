"""The months of the log: partitions that are attached, and those that the log says have left."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from application.ledger.schema import EVENTS_TABLE, SCHEMA, month_partition
from domain.ids import uuid7_moment

_NAME = re.compile(rf"{EVENTS_TABLE}_([0-9]{{4}})_(0[1-9]|1[0-2])")
_ATTACHED = (
    "SELECT c.relname, i.inhdetachpending, pg_total_relation_size(c.oid)"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'grantledger.ledger_events'::regclass ORDER BY c.relname"
)
# Retention's streams are in the directory partition: no need to look through all the others.
_LEFT = (
    "SELECT DISTINCT ON (originator_id) topic, convert_from(state, 'UTF8')::jsonb AS state"
    " FROM grantledger.ledger_events_directory"
    " WHERE topic IN ('retention.opened', 'retention.detached', 'retention.restored')"
    " ORDER BY originator_id, originator_version DESC"
)


@dataclass(frozen=True, slots=True)
class Month:
    """A month's partition. `pending`: its detachment was broken off and has to be finished."""

    partition: str
    lower: UUID
    upper: UUID
    bytes: int = 0
    pending: bool = False

    @property
    def first_moment(self) -> datetime:
        """The first millisecond of its ids (UTC)."""
        return uuid7_moment(self.lower)

    @property
    def end(self) -> datetime:
        """The first moment after it (UTC)."""
        return uuid7_moment(self.upper)

    @property
    def table(self) -> Composed:
        """The qualified name of its table."""
        return SQL("{}").format(Identifier(SCHEMA, self.partition))


@dataclass(frozen=True, slots=True)
class Left:
    """A month that left the log, as `retention.detached` recorded it."""

    month: Month
    rows: int
    first_position: int
    last_position: int
    manifest_sha256: str


def month_named(partition: str, *, size: int = 0, pending: bool = False) -> Month | None:
    """Return the month of a partition, None for the name of anything else."""
    found = _NAME.fullmatch(partition)
    if found is None:
        return None
    moment = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    name, lower, upper = month_partition(moment, 0)
    return Month(name, lower, upper, size, pending)


def attached_months(connection: Connection[Any]) -> list[Month]:
    """Return the months whose partitions are attached or pending, oldest first."""
    rows = connection.execute(_ATTACHED).fetchall()
    found = [month_named(name, size=size, pending=pending) for name, pending, size in rows]
    return [month for month in found if month is not None]


def months_left(connection: Connection[Any]) -> list[Left]:
    """Return the months whose events are no longer in the log, oldest first."""
    present = {month.partition for month in attached_months(connection) if not month.pending}
    found = []
    for topic, state in connection.execute(_LEFT).fetchall():
        month = month_named(state["partition"])
        if topic != "retention.detached" or month is None or month.partition in present:
            continue
        found.append(
            Left(
                month,
                state["rows"],
                state["first_position"],
                state["last_position"],
                state["manifest_sha256"],
            )
        )
    return sorted(found, key=lambda left: left.month.partition)


class MonthsDetached(Exception):
    """The log is not whole: what is replayed from it would lack events."""

    def __init__(self, left: Sequence[Left]) -> None:
        names = ", ".join(one.month.partition.removeprefix(f"{EVENTS_TABLE}_") for one in left)
        super().__init__(
            f"months of the log are detached ({names}): what is made from it would lack their"
            " events. `grantledger retention restore DIR` puts them back; --without-detached goes"
            " on without them"
        )


def require_whole_log(connection: Connection[Any]) -> None:
    """Raise MonthsDetached where a month has left the log."""
    left = months_left(connection)
    if left:
        raise MonthsDetached(left)
