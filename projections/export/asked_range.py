"""What `--from` and `--to` of an export mean as positions of the audit trail, both inclusive."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from projections.as_of import AsOf, resolve
from projections.export.parts import PositionRange

_INSTANT = timedelta(microseconds=1)  # what PostgreSQL tells apart


class EmptyRange(ValueError):
    """Nothing lies between the two; the message is one line."""


def asked_range(
    connection: Connection[Any],
    first: int | datetime | None,
    last: int | datetime | None,
    *,
    now: datetime,
) -> PositionRange:
    """Return the range from `first` (None: the first event) to `last` (None: the newest).

    A moment is that of recording. What the audit trail does not hold yet is not waited for. Raises
    EmptyRange and psycopg.Error.
    """
    if isinstance(first, datetime):
        first = _resolved(connection, first - _INSTANT, now).position + 1
    range_ = PositionRange(max(first or 1, 1), _resolved(connection, last, now).position)
    if range_.first > range_.last:
        raise EmptyRange(
            f"nothing to export: it would be from position {range_.first} to {range_.last}"
        )
    return range_


def _resolved(connection: Connection[Any], asked: int | datetime | None, now: datetime) -> AsOf:
    asking = resolve(asked, now=now)
    query = next(asking)
    while True:
        try:
            query = asking.send(query.fetch(connection))
        except StopIteration as done:
            found: AsOf = done.value
            return found
