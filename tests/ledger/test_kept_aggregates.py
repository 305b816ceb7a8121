"""Long streams are kept as of a version: what is loaded must not differ from what the log says."""

import asyncio
from uuid import UUID

import pytest

from application.ledger import ledger as kept_in
from application.ledger.errors import Conflict
from application.ledger.ledger import KEPT_FROM_VERSION, Ledger
from domain.client import Client
from domain.client_configuration import TokenPolicy
from tests.builders import a_client, later


async def a_long_stream(ledger: Ledger, client_id: str = "reporter") -> UUID:
    """Record a client with more events than the shortest stream that is kept."""
    client = a_client(client_id=client_id)
    for number in range(KEPT_FROM_VERSION + 2):
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


async def test_the_oldest_go_first(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more are kept than there is room for, and what fell out is read from the log again."""
    monkeypatch.setattr(kept_in, "KEPT", 2)
    streams = [await a_long_stream(ledger, f"client-{number}") for number in range(3)]
    for stream in streams:
        await ledger.load(stream)

    assert list(ledger._kept) == streams[1:]
    assert (await ledger.load(streams[0])).version == KEPT_FROM_VERSION + 3
