"""Announced ends: an end of a stream is recorded, however many processes write on that stream."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from application.ending import end_family
from application.ledger import announced_ends
from application.ledger.errors import Conflict, EndAnnounced
from application.ledger.ledger import Ledger
from domain.access_token import AccessToken
from domain.recorded import Recorded
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from tests.application.service import FakeService
from tests.builders import AT_NOON, NOON, a_token, later, stream_id

HOUR = NOON + timedelta(hours=1)
STORMING = 6
MOST = 300
"""Uses of the family before the storm ends by itself."""


@pytest.fixture
async def others(database_url: str) -> AsyncIterator[list[Ledger]]:
    """Ledgers of other processes on the same database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Ledger(database_url)) for _ in range(3)]


def _token() -> AccessToken:
    return a_token(datetime.now(UTC))


def a_family() -> tuple[RefreshTokenFamily, AccessToken]:
    """Return a family and its first token."""
    token = _token()
    family = RefreshTokenFamily.start(
        stream_id(),
        FamilyTerms("shop", "alice", "sess_1", ("user",), (), NOON, 3600, 3600, 10),
        pepper_id="pepper-1",
        token=IssuedToken(str(token.id), HOUR),
        provenance=AT_NOON,
    )
    return family, token


def used(family: RefreshTokenFamily) -> list[Recorded]:
    """Use a family; return the unit."""
    token = _token()
    family.use(token=IssuedToken(str(token.id), HOUR), provenance=AT_NOON)
    return [family, token]


async def test_others_leave_an_announced_stream_alone(ledger: Ledger, others: list[Ledger]) -> None:
    """Between its announcement and its record no writer of any process is faster, not even with a
    version that would fit; other streams, and units of the same batch, are recorded meanwhile.
    """
    family, token = a_family()
    await ledger.save(family, token)
    holder, other = uuid4(), others[0]
    found = await other.load(family.id)
    await ledger.announce(holder, [family.id])
    bystanders = [_token() for _ in range(20)]

    outcomes = await asyncio.gather(
        other.save(*used(found.copied())),
        *(other.save(one) for one in bystanders),
        ledger.save(*used(family.copied())),
        return_exceptions=True,
    )
    family.revoke(by="shop", reason="test", provenance=later(1))
    await ledger.save_end(holder, family)
    with pytest.raises(Conflict) as late:
        await other.save(*used(found.copied()))
    await other.save(_token())

    assert [isinstance(one, EndAnnounced) for one in outcomes] == [True, *[False] * 20, True]
    assert all(isinstance(one, int) for one in outcomes[1:-1])
    assert not isinstance(late.value, EndAnnounced)
    assert (await other.load(family.id)).revoked


async def test_what_is_not_recorded_is_taken_back(ledger: Ledger, others: list[Ledger]) -> None:
    """An end that has nothing to record leaves nobody waiting."""
    family, token = a_family()
    await ledger.save(family, token)
    holder = uuid4()
    await ledger.announce(holder, [family.id])
    await ledger.withdraw(holder)

    await others[0].save(*used(await others[0].load(family.id)))


async def test_a_process_that_dies_blocks_nothing_for_long(
    ledger: Ledger, others: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An announcement whose end never comes is over by itself."""
    monkeypatch.setattr(announced_ends, "_DURATION", struct.pack("!d", 0.2))
    family, token = a_family()
    await ledger.save(family, token)
    await ledger.announce(uuid4(), [family.id])
    refused = 0
    async with asyncio.timeout(10):
        while True:
            try:
                await others[0].save(*used(await others[0].load(family.id)))
            except EndAnnounced:
                refused += 1
                continue
            break

    assert refused > 0


async def test_two_ends_at_once(ledger: Ledger, others: list[Ledger]) -> None:
    """Of two announced ends of one stream one is first, and the other is told and tries again."""
    family, token = a_family()
    await ledger.save(family, token)
    one, two = uuid4(), uuid4()
    await ledger.announce(one, [family.id])
    await others[0].announce(two, [family.id])
    slow = await others[0].load(family.id)
    family.revoke(by="one", reason="test", provenance=later(1))
    slow.revoke(by="two", reason="test", provenance=later(1))

    await ledger.save_end(one, family)
    with pytest.raises(Conflict):
        await others[0].save_end(two, slow)

    assert _announced_by(others[0]) == [two]


async def test_an_end_wins_against_a_storm(
    ledger: Ledger, others: list[Ledger], database_url: str
) -> None:
    """While three other processes use a family as fast as they can, its end is recorded within a
    few tries, all that they issued ends with it, and nothing is issued after it.
    """
    family, token = a_family()
    await ledger.save(family, token)
    ended = asyncio.Event()
    running: asyncio.Event = asyncio.Event()
    uses = 0

    async def storm(other: Ledger) -> None:
        nonlocal uses
        while not ended.is_set() and uses < MOST:
            found = await other.load(family.id)
            if found.revoked:
                return
            try:
                await other.save(*used(found.copied()))
            except Conflict:
                continue
            uses += 1
            if uses >= STORMING:
                running.set()

    storming = [asyncio.create_task(storm(other)) for other in others for _ in range(4)]
    async with asyncio.timeout(20):
        await running.wait()
        counting = _Counting(ledger)
        service: Any = FakeService()
        service.log = counting
        await end_family(family.id, service, by="shop", reason="test", provenance=later(1))
        ended.set()
        await asyncio.gather(*storming)
    last = await ledger.load(family.id)
    records = [await ledger.load(UUID(one.jti)) for one in last.tokens]

    assert last.revoked
    assert uses < MOST
    assert counting.saves <= 4
    assert len(records) == uses + 1
    assert all(record.revoked for record in records)
    assert _announced(database_url) == []


class _Counting:
    """The log of a process, with how often it tries to record."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.saves = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("save"):
            self.saves += 1
        return getattr(self._ledger, name)


def _announced_by(ledger: Ledger) -> list[UUID]:
    return _announced(ledger.reader._link._database_url)


def _announced(database_url: str) -> list[UUID]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT DISTINCT holder FROM grantledger.announced_ends")
        return [row[0] for row in rows.fetchall()]
