"""Load, decide, save: the loser of a race decides again on what the winner recorded."""

import asyncio
from contextlib import suppress
from functools import partial
from uuid import UUID

import pytest

from application.administration.deciding import begin, decide, decide_as_holder
from application.errors import ConflictingState, InvalidScope, NotFound
from application.insisting import ATTEMPTS
from application.ledger.errors import EndAnnounced, LedgerUnavailable
from domain.client import Client
from domain.principal import Principal
from tests.application.fakes import Fault, InterleavingLog, MemoryLog
from tests.application.service import FakeService
from tests.builders import AT_NOON, CATALOGUE, a_client, a_principal, later

STREAM = Client.stream("reporter")


@pytest.fixture
def log() -> MemoryLog:
    """A log with the client "reporter"."""
    log = MemoryLog()
    log.record(a_client(scopes=("service", "mcp")))
    return log


def drop(client: Client, scope: str) -> None:
    """Take one scope away: a decision that depends on what the client has."""
    kept = [name for name in client.scopes if name != scope]
    client.set_scopes(kept, catalogue=CATALOGUE, provenance=later(1))


def other_drops(log: MemoryLog, scope: str) -> None:
    """Take one scope away as another process would."""
    client = log.folded(STREAM)
    drop(client, scope)
    log.record(client)


async def test_the_loser_decides_again(log: MemoryLog) -> None:
    """Where another writer is first, the decision is made anew on what that one left: neither of
    two changes undoes the other.
    """
    log.meanwhile = lambda: other_drops(log, "mcp")

    client = await decide(
        FakeService(log=log), STREAM, Client, lambda c: drop(c, "service"), name="reporter"
    )

    assert client.scopes == log.folded(STREAM).scopes == ()
    assert log.loads == 2
    assert len(log.of(Client.ScopesChanged)) == 2


def always_faster(log: MemoryLog) -> list[int]:
    """Let another process change the client before each save; return the rounds that it won."""
    rounds: list[int] = []

    def faster() -> None:
        log.meanwhile = faster
        client = log.folded(STREAM)
        client.set_owner(f"owner-{len(rounds)}", provenance=AT_NOON)
        with suppress(EndAnnounced):
            log.record(client)
            rounds.append(len(rounds))

    log.meanwhile = faster
    return rounds


async def test_a_holder_gives_up_after_many_lost_races(log: MemoryLog) -> None:
    """A client that is never first with a change of itself gets an answer; nothing of its change is
    recorded.
    """
    rounds = always_faster(log)
    with pytest.raises(ConflictingState, match=r"^reporter is being changed by others; try again$"):
        await decide_as_holder(
            FakeService(log=log), STREAM, Client, lambda c: drop(c, "mcp"), name="reporter"
        )

    assert len(rounds) == ATTEMPTS
    assert log.of(Client.ScopesChanged) == []


async def test_an_administrator_wins(log: MemoryLog) -> None:
    """A client that changes itself in a loop is disabled after one lost race: the disabling is
    announced, and the client's changes are refused from then on.
    """
    rounds = always_faster(log)

    await decide(
        FakeService(log=log), STREAM, Client, lambda c: c.disable(AT_NOON), name="reporter"
    )

    assert len(rounds) == 1
    assert not log.folded(STREAM).enabled
    assert log.announced == {}


async def test_nobody_is_kept_from_disabling() -> None:
    """In one process an administrator goes ahead of a client that changes itself in many loops, and
    no race is lost.
    """
    busy = InterleavingLog()
    busy.record(a_client())
    service = FakeService(log=busy)

    async def change(writer: int) -> None:
        for time in range(10):
            owner = partial(Client.set_owner, owner=f"{writer}-{time}", provenance=AT_NOON)
            await decide_as_holder(service, STREAM, Client, owner, name="reporter")

    changing = [asyncio.create_task(change(writer)) for writer in range(20)]
    await asyncio.sleep(0)
    await decide(service, STREAM, Client, lambda c: c.disable(AT_NOON), name="reporter")
    before = len(busy.of(Client.OwnerChanged))
    await asyncio.gather(*changing)

    assert before <= 1  # the change that was under way
    assert busy.saves == len(busy.units) - 1 == 201


async def test_a_broken_rule_is_told(log: MemoryLog) -> None:
    """What the domain refuses comes out as its OAuth error, and nothing is saved."""
    with pytest.raises(InvalidScope, match=r"^unknown scope: root$"):
        await decide(
            FakeService(log=log),
            STREAM,
            Client,
            lambda c: c.set_scopes(["root"], catalogue=CATALOGUE, provenance=AT_NOON),
            name="reporter",
        )

    assert len(log.units) == 1


@pytest.mark.parametrize("stream", [Client.stream("nobody"), Principal.stream("owner-1")])
async def test_decides_on_nothing_else(log: MemoryLog, stream: UUID) -> None:
    """A stream that does not exist or belongs to something else is not found."""
    log.record(a_principal())
    with pytest.raises(NotFound, match=r"^no such client: nobody$"):
        await decide(
            FakeService(log=log), stream, Client, lambda c: c.disable(AT_NOON), name="nobody"
        )


async def test_an_outage_is_not_a_lost_race(log: MemoryLog) -> None:
    """LedgerUnavailable is passed on at once: trying again could record the decision twice."""
    log.save_faults.append(Fault.IN_DOUBT)
    with pytest.raises(LedgerUnavailable):
        await decide(
            FakeService(log=log), STREAM, Client, lambda c: c.disable(AT_NOON), name="reporter"
        )

    assert log.loads == 1


async def test_a_stream_begins_once(log: MemoryLog) -> None:
    """A name that is taken is told by what it names."""
    fresh = a_client(client_id="fresh")

    assert await begin(log, fresh, name="fresh") is fresh
    with pytest.raises(ConflictingState, match=r"^the client reporter is registered already$"):
        await begin(log, a_client(), name="reporter")
    await begin(log, a_principal(subject="twice"), name="twice")
    with pytest.raises(ConflictingState, match=r"^the principal twice is registered already$"):
        await begin(log, a_principal(subject="twice"), name="twice")
