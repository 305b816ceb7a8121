"""Aggregates are kept as of a version: what is loaded must not differ from what the log says."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

import pytest
from eventsourcing.domain import CanMutateAggregate
from eventsourcing.persistence import StoredEvent

from application.ledger import grouped_read
from application.ledger.errors import Conflict
from application.ledger.grouped_read import Part
from application.ledger.ledger import KEPT_LONG_BYTES, LONG_FROM_VERSION, Ledger
from application.recently_used import RecentlyUsed
from domain.client import Client
from domain.client_configuration import TokenPolicy
from domain.provenance import Provenance
from domain.refresh_token_family import IssuedToken, RefreshTokenFamily
from tests.builders import a_client, later
from tests.projections.retention.past import family


async def a_long_stream(ledger: Ledger, client_id: str = "reporter") -> UUID:
    """Record a client with more events than the shortest of the long streams."""
    client = a_client(client_id=client_id)
    for number in range(LONG_FROM_VERSION + 2):
        _change(client, 60 + number)
    await ledger.save(client)
    return client.id


def _change(client: Client, lifetime: int) -> None:
    client.set_token_policy(TokenPolicy(lifetime=lifetime), provenance=later(1))


async def test_what_others_wrote_is_read(ledger: Ledger, database_url: str) -> None:
    """An aggregate that is kept catches up with what another process recorded since."""
    stream = await a_long_stream(ledger)
    first = await ledger.load(stream)
    async with Ledger(database_url) as other:
        theirs = await other.load(stream)
        _change(theirs, 1000)
        await other.save(theirs)
    caught_up = await ledger.load(stream)

    assert (caught_up.version, caught_up.tokens.lifetime) == (first.version + 1, 1000)


async def test_who_loads_has_a_copy(ledger: Ledger) -> None:
    """What is decided and never saved is in nobody else's aggregate."""
    stream = await a_long_stream(ledger)
    await ledger.load(stream)
    undecided = await ledger.load(stream)
    _change(undecided, 2000)
    again = await ledger.load(stream)

    assert undecided.tokens.lifetime == 2000
    assert again.version == undecided.version - 1
    assert again.tokens.lifetime != 2000


async def test_stale_decisions_still_conflict(ledger: Ledger) -> None:
    """Of two that decided upon the same version one is refused, and the log has the other's."""
    stream = await a_long_stream(ledger)
    await ledger.load(stream)
    one, two = await asyncio.gather(ledger.load(stream), ledger.load(stream))
    _change(one, 3000)
    _change(two, 4000)
    await ledger.save(one)
    with pytest.raises(Conflict):
        await ledger.save(two)

    assert (await ledger.load(stream)).tokens.lifetime == 3000


async def test_what_was_saved_is_recent(ledger: Ledger) -> None:
    """Who loads and saves has the saved state at hand, as the log has it, and nothing undecided."""
    stream = await a_long_stream(ledger)
    mine = await ledger.load(stream)
    _change(mine, 3000)
    await ledger.save(mine)
    _change(mine, 4000)

    recent = ledger.recent(stream)
    assert (recent.version, recent.tokens.lifetime) == (mine.version - 1, 3000)
    assert list(recent.facts()) == []
    assert vars(recent) == vars(await ledger.load(stream))


async def test_what_was_only_saved_is_not_kept(ledger: Ledger) -> None:
    """A token that is issued is asked about by few: keeping each would push out what is used."""
    client = a_client()
    await ledger.save(client)

    assert ledger.recent(client.id) is None


async def test_a_lost_race_makes_it_read_first(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process was faster, nothing is built on what is known for a while; and what
    was refused is not known.
    """
    stream = await a_long_stream(ledger)
    mine = await ledger.load(stream)
    async with Ledger(database_url) as other:
        theirs = await other.load(stream)
        _change(theirs, 1000)
        await other.save(theirs)
    _change(mine, 2000)
    with pytest.raises(Conflict):
        await ledger.save(mine)

    assert ledger.recent(stream) is None
    assert (await ledger.load(stream)).tokens.lifetime == 1000
    monkeypatch.setattr(ledger, "_shared_until", monotonic())
    assert ledger.recent(stream).tokens.lifetime == 1000


async def test_an_older_read_does_not_replace_a_newer_state(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that was under way while another request saved does not turn back what is kept."""
    stream = await a_long_stream(ledger)
    mine = await ledger.load(stream)
    monkeypatch.setattr(
        ledger, "_long", RecentlyUsed(KEPT_LONG_BYTES)
    )  # so that the next one reads it all
    answered, go_on = asyncio.Event(), asyncio.Event()
    part = ledger.reader.part

    async def slowly(stream_id: UUID, *, after: int) -> Part:
        found = await part(stream_id, after=after)
        answered.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(ledger.reader, "part", slowly)
    old = asyncio.create_task(ledger.load(stream))
    await answered.wait()
    ledger._keep(mine.copied())
    _change(mine, 3000)
    await ledger.save(mine)
    go_on.set()

    assert (await old).version == mine.version - 1
    assert ledger.recent(stream).version == mine.version


async def test_short_streams_do_not_push_out_long_ones(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many short streams are asked for, those that are costly to read stay."""
    monkeypatch.setattr(ledger, "_short", RecentlyUsed(2))
    stream = await a_long_stream(ledger)
    await ledger.load(stream)
    others = [a_client(client_id=f"client-{number}") for number in range(3)]
    await ledger.save(*others)
    for one in others:
        await ledger.load(one.id)

    assert [ledger.recent(one.id) is not None for one in others] == [False, True, True]
    assert ledger.recent(stream) is not None
    assert (await ledger.load(others[0].id)).client_id == "client-0"


async def test_heavy_aggregates_are_kept_by_their_weight(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Families with many living tokens push one another out; those without stay by the hundreds,
    however long their streams.
    """
    monkeypatch.setattr(ledger, "_long", RecentlyUsed(1_000_000))
    heavy = [_rotated(500, seconds=1) for _ in range(12)]
    light = [_rotated(20, seconds=3600) for _ in range(300)]
    await ledger.save(*heavy, *light)
    for one in heavy:
        await ledger.load(one.id)
    kept_heavy = [ledger.recent(one.id) is not None for one in heavy]
    for one in light:
        await ledger.load(one.id)

    assert kept_heavy == [number >= 12 - 9 for number in range(12)]
    assert all(ledger.recent(one.id) is not None for one in light)


def _rotated(times: int, *, seconds: int) -> RefreshTokenFamily:
    """Return a family that was rotated every so many seconds; its tokens live for an hour."""
    began = datetime.now(UTC)
    rotated = family(began)
    for number in range(1, times + 1):
        moment = began + timedelta(seconds=seconds * number)
        token = IssuedToken(f"jti-{number}", moment + timedelta(hours=1))
        rotated.rotate(pepper_id="p", token=token, provenance=Provenance(moment, "req_1"))
    return rotated


async def test_the_events_of_a_long_stream_are_made_part_by_part(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have a turn between any two parts, and the events are all there in the end."""
    stream = await a_long_stream(ledger)
    whole = await ledger.events(stream)
    monkeypatch.setattr(grouped_read, "QUERY_EVENTS", 3)
    part, make = ledger.reader.part, ledger.mapper.to_domain_event
    made: list[CanMutateAggregate[UUID]] = []
    at_each_part: list[int] = []

    def making(stored: StoredEvent) -> CanMutateAggregate[UUID]:
        made.append(make(stored))
        return made[-1]

    async def asked(stream_id: UUID, *, after: int) -> Part:
        at_each_part.append(len(made))
        return await part(stream_id, after=after)

    monkeypatch.setattr(ledger.mapper, "to_domain_event", making)
    monkeypatch.setattr(ledger.reader, "part", asked)

    assert await ledger.events(stream) == whole == made
    assert at_each_part == [0, 3, 6, 9]


async def test_a_long_stream_is_folded_part_by_part(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whole for everybody who asks at once, and whoever gives up on the way leaves what was
    read so far to the next.
    """
    async with Ledger(database_url) as writing:
        stream = await a_long_stream(writing)
        whole = await writing.load(stream)
    monkeypatch.setattr(grouped_read, "QUERY_EVENTS", 3)
    async with Ledger(database_url) as ledger:
        answered = asyncio.Event()
        part = ledger.reader.part

        async def twice(stream_id: UUID, *, after: int) -> Part:
            if after == 6:
                answered.set()
                await asyncio.Event().wait()
            return await part(stream_id, after=after)

        monkeypatch.setattr(ledger.reader, "part", twice)
        given_up = asyncio.create_task(ledger.load(stream))
        await answered.wait()
        given_up.cancel()
        monkeypatch.setattr(ledger.reader, "part", part)

        assert ledger.recent(stream).version == 6
        assert await asyncio.gather(*[ledger.load(stream) for _ in range(3)]) == [whole] * 3
