"""Partitions: each id lies in its own, bounds have no gap, and new ones hold nobody up."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from application.ledger.recorder import APPEND, append_parameters
from application.ledger.schema import MONTHS_AHEAD, ensure_partitions, month_partition
from domain.ids import directory_id, uuid7
from tests.builders import records
from tests.ledger.log_table import keys, keys_of

Connection = psycopg.Connection[tuple[object, ...]]
ALL_ONES = b"\xff" * 10


def partition_of(connection: Connection, stream: UUID) -> object:
    """Return the name of the partition that holds `stream`."""
    found = connection.execute(
        "SELECT relname FROM grantledger.ledger_events e JOIN pg_class c ON c.oid = e.tableoid"
        " WHERE originator_id = %s",
        (stream,),
    ).fetchone()
    assert found is not None
    return found[0]


def test_ids_lie_in_their_partitions(database_url: str) -> None:
    """Directory ids lie in the directory partition, UUIDv7 in that of the month they were made."""
    now = datetime.now(UTC)
    last_month = now.replace(day=1) - timedelta(days=1)
    expected = {
        directory_id("client", "a"): "ledger_events_directory",
        directory_id("key", "z"): "ledger_events_directory",
        uuid7(now, bytes(10)): f"ledger_events_{now:%Y_%m}",
        uuid7(now, ALL_ONES): f"ledger_events_{now:%Y_%m}",
        uuid7(last_month, bytes(10)): f"ledger_events_{last_month:%Y_%m}",
    }
    with psycopg.connect(database_url) as connection:
        for stream in expected:
            connection.execute(APPEND, append_parameters(records(stream=stream)))
        found = {stream: partition_of(connection, stream) for stream in expected}

    assert found == expected


@pytest.mark.parametrize(
    ("now", "offset", "name", "first", "first_after"),
    [
        ("2026-03-31", 0, "2026_03", "2026-03-01", "2026-04-01"),
        ("2026-03-31", -1, "2026_02", "2026-02-01", "2026-03-01"),
        ("2026-12-15", 0, "2026_12", "2026-12-01", "2027-01-01"),
        ("2026-12-15", 1, "2027_01", "2027-01-01", "2027-02-01"),
        ("2026-11-30", 3, "2027_02", "2027-02-01", "2027-03-01"),
        ("2027-01-01", -1, "2026_12", "2026-12-01", "2027-01-01"),
        ("2028-01-31", 1, "2028_02", "2028-02-01", "2028-03-01"),
    ],
)
def test_month_bounds(now: str, offset: int, name: str, first: str, first_after: str) -> None:
    """A month's partition begins at its first millisecond and ends with its last, across the end
    of a year and in a leap year too.
    """
    start, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, first_after))
    found, lower, upper = month_partition(datetime.fromisoformat(now).replace(tzinfo=UTC), offset)
    last = end - timedelta(milliseconds=1)

    assert found == f"ledger_events_{name}"
    assert uuid7(start - timedelta(milliseconds=1), ALL_ONES) < lower
    assert lower <= uuid7(start, bytes(10)) <= uuid7(last, ALL_ONES) < upper
    assert upper <= uuid7(end, bytes(10))


def test_months_have_no_gap() -> None:
    """Over three years each partition ends exactly where the next begins."""
    now = datetime(2026, 2, 28, 23, 59, tzinfo=UTC)
    bounds = [month_partition(now, offset)[1:] for offset in range(-12, 25)]

    assert [upper for _, upper in bounds[:-1]] == [lower for lower, _ in bounds[1:]]


def test_a_month_later_one_more(database_url: str) -> None:
    """When a month has passed exactly one partition is new, and a second look adds none."""
    now = datetime.now(UTC)
    next_month = now.replace(day=1) + timedelta(days=32)
    with psycopg.connect(database_url, autocommit=True) as connection:
        at_once = ensure_partitions(connection, now=now)
        later = ensure_partitions(connection, now=next_month)
        again = ensure_partitions(connection, now=next_month)

    assert at_once == []
    assert later == [month_partition(next_month, MONTHS_AHEAD)[0]]
    assert again == []


def test_new_partitions_wait_for_no_writer(database_url: str) -> None:
    """A partition is attached while a writer's transaction is open, and that writer goes on."""
    unit, following = records(), records()
    next_month = datetime.now(UTC).replace(day=1) + timedelta(days=32)
    with (
        psycopg.connect(database_url) as writer,
        psycopg.connect(database_url, autocommit=True) as other,
    ):
        writer.execute(APPEND, append_parameters(unit))
        other.execute("SET lock_timeout = '1s'")
        created = ensure_partitions(other, now=next_month)
        writer.execute(APPEND, append_parameters(following))
        writer.commit()

    assert len(created) == 1
    assert keys(database_url) == keys_of(unit, following)
