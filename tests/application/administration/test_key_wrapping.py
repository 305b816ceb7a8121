"""Private keys encrypted anew under another master key: all of them, recorded, none lost."""

import pytest

from application.administration.key_wrapping import rewrap
from application.administration.signing_keys import ensure
from application.errors import ConflictingState
from application.secret_keys import MasterKeyMismatch, MasterKeys, SecretKey, WrappedKey
from domain.signing_key import SigningKey
from tests.application.service import MASTER_KEY, FakeService
from tests.builders import AT_NOON, later

NEW = SecretKey("master-2", b"n" * 32)


@pytest.fixture
async def kids(service: FakeService) -> list[str]:
    """Two keys under the old master key, in a process that was started with a new one."""
    made = await ensure("ES256", [], service=service, provenance=AT_NOON)
    service.master_keys = MasterKeys([NEW, MASTER_KEY])
    return [key.kid for key in made]


async def test_every_key_opens_by_the_new_master_key_alone(
    service: FakeService, kids: list[str]
) -> None:
    """The same private keys, under the new master key; each act is recorded with its reason."""
    before = [service.master_keys.unwrap(service.key_store.kept[kid]) for kid in kids]
    told: list[tuple[int, int]] = []

    done = await rewrap(
        service=service, provenance=later(1), progress=lambda n, of: told.append((n, of))
    )

    new_alone = MasterKeys([NEW])
    assert sorted(done) == sorted(kids)
    assert [new_alone.unwrap(service.key_store.kept[kid]) for kid in kids] == before
    assert told == [(1, 2), (2, 2)]
    recorded = service.log.of(SigningKey.Rewrapped)
    assert {(one.kid, one.master_key_id, one.by) for one in recorded} == {
        (kid, "master-2", "operator-2") for kid in kids
    }


async def test_a_second_run_has_nothing_to_do(service: FakeService, kids: list[str]) -> None:
    """What lies under the present master key is left alone, and nothing is recorded."""
    await rewrap(service=service, provenance=later(1))
    recorded = len(service.log.units)

    assert await rewrap(service=service, provenance=later(2)) == []
    assert len(service.log.units) == recorded
    assert len(kids) == 2


async def test_a_key_that_does_not_open_stops_it_before_anything_changes(
    service: FakeService, kids: list[str]
) -> None:
    """Without the master key of one of them none is touched, and none is recorded."""
    stranger = MasterKeys([SecretKey("master-0", b"0" * 32)])
    service.key_store.kept[kids[1]] = stranger.wrap(kids[1], b"private")
    kept, recorded = dict(service.key_store.kept), len(service.log.units)
    with pytest.raises(MasterKeyMismatch, match="master key master-0 is not in the settings"):
        await rewrap(service=service, provenance=later(1))

    assert service.key_store.kept == kept
    assert len(service.log.units) == recorded


async def test_a_key_that_changed_meanwhile_is_not_overwritten(
    service: FakeService, kids: list[str]
) -> None:
    """Where another process was faster its wrapping stays, and the loser says so."""
    others: list[WrappedKey] = []

    def other_wraps() -> None:
        for kid in kids:
            private = service.master_keys.unwrap(service.key_store.kept[kid])
            others.append(service.master_keys.wrap(kid, private))
            service.key_store.kept[kid] = others[-1]

    service.log.meanwhile = other_wraps
    with pytest.raises(ConflictingState, match="is being wrapped by another process"):
        await rewrap(service=service, provenance=later(1))

    assert list(service.key_store.kept.values()) == others
