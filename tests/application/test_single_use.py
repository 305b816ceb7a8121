"""Names that count once: they outlive every request that could still be accepted with them."""

import asyncio
from datetime import timedelta

import pytest

from api.forms import BODY_SECONDS
from api.resource_server import MemoryNames as OneProcess
from application.errors import InvalidClient, TemporarilyUnavailable
from application.one_time_values import OneTimeValues
from application.outbound import SECONDS as FETCH_SECONDS
from application.ports import UsedNames
from application.side_tables import SideTables
from application.single_use import LONGEST_REQUEST, SKEW, SingleUse, UsableName
from application.used_names import UsedNames as Replica
from tests.application.people.conftest import tables  # noqa: F401  # a fixture
from tests.builders import NOON

SECOND = timedelta(seconds=1)


def refused() -> InvalidClient:
    """Return the error of a second use."""
    return InvalidClient(reason="used before")


def a_name(key: bytes = b"key") -> UsableName:
    """Return a name that is accepted until noon."""
    return UsableName("test", key, NOON, refused)


async def use(names: UsedNames, *, arrival: timedelta, key: bytes = b"key") -> None:
    """Use the name in a request that came `arrival` before noon."""
    once = SingleUse(names, NOON - arrival)
    once.add(a_name(key))
    await once.use()


@pytest.fixture
def replicas(tables: SideTables) -> tuple[Replica, Replica]:  # noqa: F811
    """Two replicas on one database."""
    return Replica(tables), Replica(tables)


async def test_a_slow_request_does_not_use_a_swept_name_again(
    tables: SideTables,  # noqa: F811
    replicas: tuple[Replica, Replica],
) -> None:
    """It came before the assertion ended, its body took its time, and the sweep came first."""
    first, second = replicas
    await use(first, arrival=2 * SECOND)
    for late in (SECOND, timedelta(seconds=BODY_SECONDS), LONGEST_REQUEST, LONGEST_REQUEST + SKEW):
        await OneTimeValues(tables).sweep(now=NOON + late)
        with pytest.raises(InvalidClient):
            await use(second, arrival=SECOND)


async def test_a_replica_whose_clock_is_ahead_does_not_write_over_a_name(
    replicas: tuple[Replica, Replica],
) -> None:
    """A request that came later, in the same batch, must not make another one's name new."""
    first, second = replicas
    await use(first, arrival=SECOND)
    ahead, behind = await asyncio.gather(
        use(second, arrival=-SKEW, key=b"another"),
        use(second, arrival=SECOND),
        return_exceptions=True,
    )

    assert ahead is None
    assert isinstance(behind, InvalidClient)


async def test_a_name_is_free_again_once_nothing_accepts_it(
    tables: SideTables,  # noqa: F811
    replicas: tuple[Replica, Replica],
) -> None:
    """The table does not grow: the sweep removes it, and no name is taken for ever."""
    await use(replicas[0], arrival=SECOND)
    await OneTimeValues(tables).sweep(now=NOON + LONGEST_REQUEST + SKEW + SECOND)
    rows = await tables.ask("SELECT count(*) FROM grantledger.one_time_values", {})

    assert rows == [(0,)]


async def test_a_process_of_its_own_remembers_as_long() -> None:
    """A resource server without a database forgets a proof no sooner."""
    names = OneProcess()
    await use(names, arrival=SECOND)
    await use(names, arrival=-SKEW, key=b"another")  # forgets what has ended
    with pytest.raises(InvalidClient):
        await use(names, arrival=SECOND)


async def test_a_request_that_takes_too_long_uses_no_name() -> None:
    """So that OUTLIVES is long enough: whatever held the request up, it is told to try again."""
    names = OneProcess()
    once = SingleUse(names, NOON, arrived=-LONGEST_REQUEST.total_seconds() - 10**9)
    once.add(a_name())
    with pytest.raises(TemporarilyUnavailable):
        await once.use()

    assert len(names) == 0
    assert timedelta(seconds=BODY_SECONDS + 4 * FETCH_SECONDS) < LONGEST_REQUEST


async def test_names_are_used_once_by_their_request() -> None:
    """A use case that asks twice is not refused for its own name."""
    once = SingleUse(OneProcess(), NOON)
    once.add(a_name())
    await once.use()
    await once.use()
