"""Rate limits count by address before and by client after, in windows that end when they say."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from limits.aio.storage import Storage
from msgspec.structs import replace

from application.errors import TooManyRequests
from application.ports import Clock
from application.rate_limit_settings import RateLimitSettings, limits_of
from application.rate_limits import AWAY_SECONDS, Counter, RateLimit, RateLimits
from application.request_context import RequestContext
from application.side_tables import SideTables
from application.windows_in_memory import MemoryWindows
from application.windows_in_postgresql import PostgresWindows
from domain.client_configuration import ClientType
from tests.application.fakes import FakeClock
from tests.application.service import context
from tests.builders import a_client
from tests.conftest import PrivateDatabase
from tests.waiting import eventually_async

HOME, AWAY = "203.0.113.7", "198.51.100.9"
ALICE, BOB = a_client(client_id="alice"), a_client(client_id="bob")
PUBLIC = a_client(
    client_id="spa",
    client_type=ClientType.PUBLIC,
    grant_types=("authorization_code",),
    redirects={"redirect_uris": ("https://client.example/callback",)},
)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the windows."""
    return FakeClock()


@pytest.fixture
async def tables(database_url: str) -> AsyncIterator[SideTables]:
    """The side tables of a migrated database."""
    opened = SideTables(database_url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "postgresql"])
async def windows(
    request: pytest.FixtureRequest, clock: FakeClock, tables: SideTables
) -> AsyncIterator[Storage]:
    """Both kinds of windows: what holds for one holds for the other."""
    if request.param == "memory":
        yield MemoryWindows(clock)
    else:
        yield PostgresWindows(tables, clock)


def a_limit(
    clock: Clock, windows: Storage, *, address: str = "", client: str = "", name: str = "par"
) -> RateLimit:
    """Return limits that count in `windows`."""
    return RateLimit(name, Counter(clock, windows), limits_of(address), limits_of(client))


def sent_from(network: str) -> RequestContext:
    """Return the circumstances of a request from an address."""
    return replace(context(), network=network)


async def wait_of(limit: RateLimit, network: str = HOME) -> int:
    """Make a request and return how long it has to wait, 0 for not at all."""
    try:
        await limit.require_address(sent_from(network))
    except TooManyRequests as error:
        return error.retry_after or -1
    return 0


@pytest.mark.parametrize(
    ("rate", "seconds", "waits"),
    [
        ("2/minute", (0, 10, 20, 59.5, 60, 61, 62), (0, 0, 40, 1, 0, 0, 58)),
        ("1/10second", (0, 9.9, 10, 15), (0, 1, 0, 5)),
        ("1 per day", (0, 1), (0, 86_399)),
        ("2/second;3/minute", (0, 0.5, 0.9, 1, 2), (0, 0, 1, 0, 58)),
        ("", (0, 0, 0), (0, 0, 0)),
    ],
)
async def test_windows(
    clock: FakeClock,
    windows: Storage,
    rate: str,
    seconds: tuple[float, ...],
    waits: tuple[int, ...],
) -> None:
    """The first request opens a window; past the limit each waits until its end, in whole seconds
    and at least one; then all begins anew.
    """
    limit = a_limit(clock, windows, address=rate)
    began: datetime = clock.moment
    found = []
    for second in seconds:
        clock.moment = began
        clock.advance(seconds=second)
        found.append(await wait_of(limit))

    assert tuple(found) == waits


async def test_others_are_not_affected(clock: FakeClock, windows: Storage) -> None:
    """Another address, another client and another kind of request have limits of their own."""
    limit = a_limit(clock, windows, address="1/minute", client="1/minute")
    another = a_limit(clock, windows, address="1/minute", name="device")
    await limit.require(ALICE, sent_from(HOME))

    with pytest.raises(TooManyRequests, match="try again in 60 seconds") as by_address:
        await limit.require_address(sent_from(HOME))
    with pytest.raises(TooManyRequests) as by_client:
        await limit.require(ALICE, sent_from(AWAY))
    await limit.require_client(BOB)
    assert await wait_of(another) == 0
    assert by_address.value.reason == "rate limit: par per address"
    assert by_client.value.reason == "rate limit: par per client"


async def test_what_proves_nothing_uses_nothing_up(clock: FakeClock, windows: Storage) -> None:
    """Anybody can name a public client, and where the address is unknown all would share one."""
    limit = a_limit(clock, windows, address="1/minute", client="1/minute")
    for _ in range(3):
        await limit.require_client(PUBLIC)
        await limit.require_address(sent_from(""))

    assert await wait_of(limit) == 0


async def test_a_public_client_that_proved_itself_counts(
    clock: FakeClock, windows: Storage
) -> None:
    """By a token that only it has: nobody else can use up what is its own."""
    limit = a_limit(clock, windows, client="1/minute")
    await limit.require_proven(PUBLIC)
    with pytest.raises(TooManyRequests) as refusal:
        await limit.require_proven(PUBLIC)

    assert refusal.value.reason == "rate limit: par per client"


async def test_only_what_is_used_up_is_refused_before(clock: FakeClock, windows: Storage) -> None:
    """Failures count when they have failed; from then on the address is refused until the end."""
    limit, here = a_limit(clock, windows, address="2/minute"), sent_from(HOME)
    for _ in range(2):
        limit.require_none_used_up(here)
        await limit.require_address(here)
    limit.require_none_used_up(here)
    assert await wait_of(limit) == 60
    clock.advance(seconds=20)

    with pytest.raises(TooManyRequests, match="try again in 40 seconds"):
        limit.require_none_used_up(here)
    limit.require_none_used_up(sent_from(AWAY))
    clock.advance(seconds=40)
    limit.require_none_used_up(here)


async def test_memory_is_bounded(clock: FakeClock) -> None:
    """Past the most windows the oldest are forgotten, and those that have ended go first."""
    windows = MemoryWindows(clock, most=3)
    for number in range(5):
        await windows.incr(f"key-{number}", 60)
        clock.advance(seconds=1)
    kept = [number for number in range(5) if await windows.get(f"key-{number}")]
    clock.advance(seconds=60)
    await windows.incr("later", 60)

    assert kept == [2, 3, 4]
    assert await windows.reset() == 1


async def test_both_are_storages_of_the_library(clock: FakeClock, windows: Storage) -> None:
    """They keep the library's contract, also where our own use of it does not reach."""
    assert await windows.check()
    assert (await windows.get("a"), await windows.get_expiry("a")) == (0, clock.now().timestamp())
    assert [await windows.incr(key, 60, amount=2) for key in "aab"] == [2, 4, 2]
    assert (await windows.get("a"), await windows.get_expiry("a")) == (
        4,
        clock.now().timestamp() + 60,
    )
    await windows.clear("a")
    assert (await windows.get("a"), await windows.get("b")) == (0, 2)
    assert await windows.reset() == 1
    assert await windows.get("b") == 0


async def test_replicas_share_a_limit(clock: FakeClock, tables: SideTables) -> None:
    """Two processes that count in PostgreSQL let pass together what one of them may."""
    replicas = [a_limit(clock, PostgresWindows(tables, clock), address="5/minute") for _ in "ab"]
    waits = [await wait_of(replicas[number % 2]) for number in range(8)]

    assert waits == [0, 0, 0, 0, 0, 60, 60, 60]


async def test_a_flood_makes_no_statements(clock: FakeClock, tables: SideTables) -> None:
    """What is used up is refused from memory: nothing more is counted or read."""
    limit = a_limit(clock, PostgresWindows(tables, clock), address="1/minute")
    await wait_of(limit)
    await wait_of(limit)
    await tables.ask("DELETE FROM grantledger.rate_limit_windows", {})
    waits = [await wait_of(limit) for _ in range(3)]

    assert waits == [60, 60, 60]
    assert await tables.ask("SELECT hits FROM grantledger.rate_limit_windows", {}) == []


async def test_clocks_of_replicas_differ(clock: FakeClock, tables: SideTables) -> None:
    """A window of a replica whose clock runs a little ahead counts for all; one that an hour ahead
    opened would count for an hour, and the others begin their own.
    """
    little, hour = FakeClock(), FakeClock()
    little.advance(seconds=3)
    hour.advance(hours=1)
    for ahead in (little, hour):
        limit = a_limit(ahead, PostgresWindows(tables, ahead), address="1/minute", name=str(ahead))
        await wait_of(limit)
    here = [
        a_limit(clock, PostgresWindows(tables, clock), address="1/minute", name=str(ahead))
        for ahead in (little, hour)
    ]
    waits = [[await wait_of(limit) for _ in range(2)] for limit in here]

    assert waits == [[60, 60], [0, 60]]


async def test_a_clock_that_is_put_right(clock: FakeClock, windows: Storage) -> None:
    """By a little, as time servers do all day: nobody gets a new window for that."""
    limit = a_limit(clock, windows, address="1/minute")
    first = await wait_of(limit)
    clock.advance(seconds=-0.2)
    waits = [await wait_of(limit) for _ in range(2)]

    assert first == 0
    assert all(59 <= wait <= 61 for wait in waits)


async def test_a_clock_that_is_put_back(clock: FakeClock, windows: Storage) -> None:
    """A window that was opened an hour from now does not count for an hour, used up or not."""
    used_up = a_limit(clock, windows, address="1/minute")
    counting = a_limit(clock, windows, address="2/minute", name="other")
    began: datetime = clock.moment
    clock.advance(hours=1)
    before = [await wait_of(used_up) for _ in range(2)]
    await wait_of(counting)
    clock.moment = began
    after = [await wait_of(used_up) for _ in range(2)]
    others = [await wait_of(counting) for _ in range(3)]

    assert before == after == [0, 60]
    assert others == [0, 0, 60]


async def test_the_table_names_nobody(clock: FakeClock, tables: SideTables) -> None:
    """Keys are hashes of one length, and what has ended is swept."""
    windows = PostgresWindows(tables, clock)
    await a_limit(clock, windows, client="1/minute").require_client(ALICE)
    await windows.sweep()
    rows = await tables.ask("SELECT key FROM grantledger.rate_limit_windows", {})
    clock.advance(seconds=60)
    await windows.sweep()

    assert [len(bytes(key)) for (key,) in rows] == [32]
    assert await tables.ask("SELECT key FROM grantledger.rate_limit_windows", {}) == []


async def test_with_postgresql_away_each_counts_for_itself(
    clock: FakeClock, private_database: PrivateDatabase
) -> None:
    """The limit holds for the process meanwhile, and for all again a moment after the return."""
    tables = SideTables(private_database.url, wait_seconds=0.3)
    shared = PostgresWindows(tables, clock)
    counter = Counter(clock, MemoryWindows(clock), shared)
    limit = RateLimit("par", counter, limits_of("2/minute"))
    try:
        private_database.server.stop()
        away = [await wait_of(limit) for _ in range(3)]
        assert not await shared.check()
        private_database.server.start()
        await eventually_async(shared.check)
        clock.advance(seconds=AWAY_SECONDS - 1)
        still_alone = await wait_of(limit, AWAY)
        clock.advance(seconds=60)
        back = [await wait_of(limit) for _ in range(3)]
        rows = await tables.ask("SELECT hits FROM grantledger.rate_limit_windows", {})
    finally:
        await tables.close()

    assert (away, still_alone, back) == ([0, 0, 60], 0, [0, 0, 60])
    assert [hits for (hits,) in rows] == [3]


def test_each_kind_has_the_limits_of_its_settings(clock: FakeClock) -> None:
    """Every setting reaches the kind of request it is named for, and an empty one turns it off."""
    counter = Counter(clock, MemoryWindows(clock))
    names = [name for name in RateLimitSettings.model_fields if "_per_" in name]
    kinds = {
        "failed_authentication": "failed_authentications",
        "pushed_request": "pushed_requests",
        "device": "devices",
        "foreign_token": "foreign_tokens",
    }
    for number, name in enumerate(names, start=1):
        given = dict.fromkeys(names, "") | {name: f"{number}/hour"}
        limits = RateLimits(RateLimitSettings.model_validate(given), counter, own=counter)
        kind, _, by = name.removeprefix("rate_limit_").partition("_per_")
        found = {
            (one, by): getattr(limit, f"per_{by}")
            for one, limit in vars(limits).items()
            for by in ("address", "client")
            if getattr(limit, f"per_{by}")
        }

        assert found == {(kinds.get(kind, kind), by): limits_of(f"{number}/hour")}


async def test_the_hot_path_counts_in_memory(clock: FakeClock, tables: SideTables) -> None:
    """Whatever counts the rest, requests to the token endpoint wait for no statement."""
    shared, own = (
        Counter(clock, MemoryWindows(clock), PostgresWindows(tables, clock)),
        Counter(clock, MemoryWindows(clock)),
    )
    limits = RateLimits(RateLimitSettings(), shared, own=own)

    assert limits.token.counter is own
    assert limits.registration.counter is shared
    assert (limits.token.per_address, limits.token.per_client) == ((), ())
