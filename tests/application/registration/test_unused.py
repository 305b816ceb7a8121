"""Clients that registered themselves and were never used: disabled once, by one replica."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import pytest

from application.administration import clients as administration
from application.administration.clients import Changes
from application.registration.unused import candidates, disable_unused
from domain.client import Client
from domain.provenance import Provenance
from tests.application.registration.scene import RegisteringService, days_later
from tests.builders import a_client

PERIOD = timedelta(days=30)


async def nobody(client_ids: Sequence[str]) -> Collection[str]:
    """No client was ever used."""
    return ()


def found(service: RegisteringService, days: float) -> list[Client]:
    """Return the candidates `days` after noon."""
    known = service.log.all_of(Client)
    return candidates(known, now=days_later(days), period=PERIOD)


def asked(days: float = 30) -> Provenance:
    """Return the circumstances of the duty `days` after noon."""
    return Provenance(days_later(days), "req_8")


async def test_who_is_looked_at(service: RegisteringService) -> None:
    """Those that registered themselves and that nothing happened to since; not the others."""
    client = (await service.register()).client
    service.log.record(a_client())
    early, due = found(service, 29.9), found(service, 30)
    gone = service.now(await service.register())
    gone.disable(asked(0))
    service.log.record(gone)

    assert early == []
    assert [one.client_id for one in due] == [client.client_id]
    assert [one.client_id for one in found(service, 30)] == [client.client_id]


async def test_the_unused_are_disabled(service: RegisteringService) -> None:
    """With the reason; those that were used stay."""
    unused, used = (await service.register()).client, (await service.register()).client

    async def some(client_ids: Sequence[str]) -> Collection[str]:
        return {used.client_id} & set(client_ids)

    count = await disable_unused(
        found(service, 30), some, period=PERIOD, asked=asked(), log=service.log
    )
    (event,) = service.log.of(Client.Disabled)

    assert count == 1
    assert (event.client_id, event.by) == (unused.client_id, "system")
    assert event.why == "never used within 30 days"
    assert found(service, 31)[0].client_id == used.client_id


async def test_one_replica_wins(service: RegisteringService) -> None:
    """Of two that found the same clients, each client is disabled once, and nobody fails."""
    for _ in range(3):
        await service.register()
    both = [found(service, 30), found(service, 30)]
    counts = [
        await disable_unused(one, nobody, period=PERIOD, asked=asked(), log=service.log)
        for one in both
    ]

    assert counts == [3, 0]
    assert len(service.log.of(Client.Disabled)) == 3


async def test_a_client_that_changes_meanwhile_is_left_alone(service: RegisteringService) -> None:
    """What happened since it was judged counts; enabled again it has the same time anew."""
    registered = await service.register()
    due = found(service, 30)
    await service.update(registered, client_name="Alive")
    count = await disable_unused(due, nobody, period=PERIOD, asked=asked(), log=service.log)
    await disable_unused(found(service, 30), nobody, period=PERIOD, asked=asked(), log=service.log)
    await administration.change(
        registered.client.client_id,
        Changes(enabled=True),
        service=service,
        provenance=asked(31),
    )

    assert count == 0
    assert found(service, 60.9) == []
    assert len(found(service, 61)) == 1


@pytest.mark.parametrize("number", [1, 201])
async def test_questions_are_bounded(service: RegisteringService, number: int) -> None:
    """However many there are, a question names two hundred at most."""
    due = [(await service.register()).client for _ in range(number)]
    sizes = []

    async def everybody(client_ids: Sequence[str]) -> Collection[str]:
        sizes.append(len(client_ids))
        return client_ids

    await disable_unused(due, everybody, period=PERIOD, asked=asked(), log=service.log)

    assert sizes == ([1] if number == 1 else [200, 1])
