"""Ids of streams: derived for directory entries, made of the moment for all others."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import directory_id, uuid7, uuid7_moment

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  # hypothesis takes bounds without a zone
    max_value=datetime(9999, 12, 31),  # noqa: DTZ001  # the same
    timezones=st.just(UTC),
)
RANDOMNESS = st.binary(min_size=10, max_size=10)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("client", "reporter", "009c735a-4efe-89e8-9f1d-657609582f19"),
        ("principal", "owner-1", "00615e20-fe74-8c87-b14e-df5040703c66"),
        ("key", "key-1", "00cfe958-f0a4-827e-9070-ee66169d7dd7"),
    ],
)
def test_directory_ids_never_change(kind: str, name: str, expected: str) -> None:
    """These very ids are in logs already: a change of the derivation would lose their streams."""
    assert directory_id(kind, name) == UUID(expected)


@given(kind=st.text(), name=st.text())
def test_directory_ids_are_uuid8_in_the_directory_partition(kind: str, name: str) -> None:
    """Every directory id begins with byte 00, is a UUIDv8, and is the same the next time."""
    found = directory_id(kind, name)

    assert found.bytes[0] == 0
    assert found.version == 8
    assert found.variant == RFC_4122
    assert found == directory_id(kind, name)


@given(names=st.lists(st.tuples(st.sampled_from(["client", "key"]), st.text()), unique=True))
def test_directory_ids_differ(names: list[tuple[str, str]]) -> None:
    """Different kinds or names have different ids."""
    assert len({directory_id(kind, name) for kind, name in names}) == len(names)


@given(moment=MOMENTS, randomness=RANDOMNESS)
def test_uuid7_gives_its_moment_back(moment: datetime, randomness: bytes) -> None:
    """A UUIDv7 has its version and variant (RFC 9562) and tells its moment to the millisecond."""
    found = uuid7(moment, randomness)

    assert found.version == 7
    assert found.variant == RFC_4122
    assert timedelta() <= moment - uuid7_moment(found) < timedelta(milliseconds=1)


@given(moment=MOMENTS, randomness=RANDOMNESS)
def test_uuid7_keeps_its_randomness(moment: datetime, randomness: bytes) -> None:
    """All randomness but the six bits of version and variant is in the id."""
    kept = uuid7(moment, randomness).bytes[6:]

    assert kept[0] & 0x0F == randomness[0] & 0x0F
    assert kept[1] == randomness[1]
    assert kept[2] & 0x3F == randomness[2] & 0x3F
    assert kept[3:] == randomness[3:]


@given(moments=st.tuples(MOMENTS, MOMENTS), randomness=st.tuples(RANDOMNESS, RANDOMNESS))
def test_later_ids_sort_behind_earlier_ones(
    moments: tuple[datetime, datetime], randomness: tuple[bytes, bytes]
) -> None:
    """Ids of different milliseconds sort as their moments do."""
    first, second = (uuid7(m, r) for m, r in zip(moments, randomness, strict=True))
    times = uuid7_moment(first), uuid7_moment(second)

    assert times[0] == times[1] or (first < second) == (times[0] < times[1])
