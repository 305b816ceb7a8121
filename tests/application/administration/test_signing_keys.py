"""Signing keys: always an active and a next one, rotated without a token that does not verify."""

from collections.abc import Sequence
from datetime import timedelta

import jwt
import pytest
from jwt.types import Options

from application.administration.signing_keys import CLOCK_SKEW, ensure, revoke, rotate
from application.errors import ConflictingState, NotFound
from application.key_material import load_private_key
from application.ledger.errors import LedgerUnavailable
from application.secret_keys import MasterKeys, SecretKey
from application.token_keys import TokenKeys, UnverifiableToken
from domain.client_configuration import MAX_LIFETIME, SIGNING_ALGORITHMS
from domain.provenance import Provenance
from domain.signing_key import KeyState, SigningKey
from tests.application.fakes import Fault
from tests.application.service import ISSUER, MASTER_KEY, FakeService
from tests.application.test_token_keys import CLAIMS
from tests.builders import AT_NOON, NOON, later

ALGORITHM = "ES256"
STATES = {KeyState.ACTIVE: 1, KeyState.GENERATED: 1}
PUBLISHED_MINUTES = 5
"""After so long, `jwks_max_age` of the service, consumers know a key."""


def known(service: FakeService) -> list[SigningKey]:
    """Return every key by now."""
    return list(service.directory.keys())


def states(service: FakeService) -> dict[KeyState, int]:
    """Return how many keys there are in each state."""
    found = [key.state for key in known(service)]
    return {state: found.count(state) for state in found}


async def made(service: FakeService, algorithm: str = ALGORITHM) -> list[SigningKey]:
    """Make the first two keys at noon."""
    return await ensure(algorithm, known(service), service=service, provenance=AT_NOON)


async def rotated(
    service: FakeService,
    *,
    minutes: float = PUBLISHED_MINUTES,
    force: bool = False,
    knowing: Sequence[SigningKey] | None = None,
) -> SigningKey:
    """Rotate `minutes` after noon, with the keys that the caller knows of."""
    keys = known(service) if knowing is None else knowing
    return await rotate(ALGORITHM, keys, force=force, service=service, provenance=later(minutes))


def process(service: FakeService) -> TokenKeys:
    """Return the keys as a process holds them that unwraps everything there is."""
    keys = TokenKeys(issuer=ISSUER, algorithms=(ALGORITHM,))
    private = {
        wrapped.kid: load_private_key(service.master_keys.unwrap(wrapped))
        for wrapped in service.key_store.kept.values()
    }
    keys.update(known(service), private, now=service.clock.now())
    return keys


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
async def test_makes_an_active_and_a_next_key(service: FakeService, algorithm: str) -> None:
    """The first start makes two keys, each with its private half wrapped and its public half
    published, named by its thumbprint; a second start makes none.
    """
    active, following = await made(service, algorithm)

    assert (active.state, following.state) == (KeyState.ACTIVE, KeyState.GENERATED)
    assert {active.algorithm, following.algorithm} == {algorithm}
    assert list(service.key_store.kept) == [active.kid, following.kid]
    assert active.public_jwk["kid"] == active.kid != following.kid
    assert active.public_jwk.keys().isdisjoint({"d", "p", "q", "dp", "dq", "qi", "k"})
    assert await made(service, algorithm) == []


async def test_makes_only_what_is_missing(service: FakeService) -> None:
    """Keys of another algorithm do not count, and an active key alone gets its next one."""
    await made(service, "EdDSA")
    await made(service)
    active = [key for key in known(service) if key.state is KeyState.ACTIVE]

    (following,) = await ensure(ALGORITHM, active, service=service, provenance=AT_NOON)

    assert following.state is KeyState.GENERATED
    assert {key.algorithm for key in active} == {"EdDSA", ALGORITHM}


async def test_no_key_is_recorded_before_its_private_half_is_kept(service: FakeService) -> None:
    """A key in the log can always sign: where the store is away no key comes to be."""
    service.key_store.away = True
    with pytest.raises(LedgerUnavailable):
        await made(service)

    assert service.log.units == []


async def test_a_rotation_moves_every_key_on(service: FakeService) -> None:
    """The next key signs, the active one retires in the same unit and verifies for the longest
    lifetime of a token and a clock's skew, and there is a new next one.
    """
    old, following = await made(service)

    active = await rotated(service)
    retired = service.log.folded(SigningKey.stream(old.kid))

    assert active.kid == following.kid
    assert active.state is KeyState.ACTIVE
    assert [event.kid for event in service.log.units[-2]] == [active.kid, old.kid]
    assert retired.state is KeyState.RETIRED
    assert retired.verify_until == later(5).occurred_at + MAX_LIFETIME + CLOCK_SKEW
    assert states(service) == {**STATES, KeyState.RETIRED: 1}


async def test_tokens_survive_a_rotation(service: FakeService) -> None:
    """What the old key signed just before verifies after the rotation, and what the new one signs
    verifies for consumers that have not fetched the key set since before it.
    """
    await made(service)
    before = process(service)
    published = {key.kid: jwt.PyJWK(dict(key.public_jwk)) for key in known(service)}
    old_token = before.sign(CLAIMS, before.choose(None))
    await rotated(service)

    after = process(service)
    token = after.sign(CLAIMS, after.choose(None))
    kid = jwt.get_unverified_header(token)["kid"]
    unchecked = Options(verify_aud=False, verify_exp=False, verify_nbf=False, verify_iat=False)

    assert after.verify(old_token).claims == CLAIMS
    assert kid != jwt.get_unverified_header(old_token)["kid"]
    assert jwt.decode(token, published[kid], algorithms=[ALGORITHM], options=unchecked) == CLAIMS


async def test_refuses_a_next_key_that_consumers_may_not_know(service: FakeService) -> None:
    """Until the key set has been out of date everywhere a rotation says how long to wait; the
    moment after it goes.
    """
    await made(service)
    with pytest.raises(ConflictingState) as refusal:
        await rotated(service, minutes=4)

    assert refusal.value.description == (
        "the next key was published 240 s ago and consumers cache the key set for 300 s: "
        "wait 60 s, or force it for a leaked key"
    )
    assert states(service) == STATES

    await rotated(service, minutes=5)

    assert states(service)[KeyState.RETIRED] == 1


async def test_force_revokes_a_leaked_key_at_once(service: FakeService) -> None:
    """A leaked key must not sign for another five minutes, nor stay in the key set."""
    leaked, _ = await made(service)

    active = await rotated(service, minutes=0, force=True)

    assert active.kid != leaked.kid
    assert service.log.folded(SigningKey.stream(leaked.kid)).state is KeyState.REVOKED
    assert leaked.kid not in {key.kid for key in known(service) if key.published(NOON)}


async def test_a_second_rotation_waits_for_its_own_next_key(service: FakeService) -> None:
    """The key that a rotation has just published is too new for the next rotation."""
    await made(service)
    await rotated(service)
    with pytest.raises(ConflictingState, match=r"^the next key was published 60 s ago"):
        await rotated(service, minutes=6)

    assert states(service) == {**STATES, KeyState.RETIRED: 1}


async def test_retires_every_active_key(service: FakeService) -> None:
    """Two replicas that started together made two active keys; one rotation leaves one."""
    await ensure(ALGORITHM, [], service=service, provenance=AT_NOON)
    await ensure(ALGORITHM, [], service=service, provenance=AT_NOON)

    await rotated(service)

    assert states(service)[KeyState.ACTIVE] == 1
    assert states(service)[KeyState.RETIRED] == 2


@pytest.mark.parametrize("force", [False, True])
async def test_needs_a_next_key(service: FakeService, force: bool) -> None:
    """Without a next key of that algorithm nothing is retired, by force neither."""
    await made(service, "EdDSA")
    recorded = len(service.log.units)
    with pytest.raises(ConflictingState, match=r"^there is no next ES256 key"):
        await rotated(service, force=force)

    assert len(service.log.units) == recorded


async def test_loses_a_race_at_the_record(service: FakeService) -> None:
    """Where somebody else's rotation is recorded between our look and our record, ours is refused
    and changes nothing.
    """
    await made(service)
    stale = known(service)

    def other_rotates() -> None:
        active, following = (service.log.folded(SigningKey.stream(key.kid)) for key in stale)
        following.activate(AT_NOON)
        active.retire(verify_until=NOON + timedelta(days=1), provenance=AT_NOON)
        service.log.record(following, active)

    service.log.meanwhile = other_rotates
    with pytest.raises(ConflictingState, match=r"^the keys are being rotated by somebody else$"):
        await rotated(service, knowing=stale)

    assert states(service) == {KeyState.RETIRED: 1, KeyState.ACTIVE: 1}


@pytest.mark.parametrize("force", [False, True])
async def test_loses_a_race_before_the_look(service: FakeService, force: bool) -> None:
    """Where somebody else has rotated and our directory does not know yet, the act is refused as
    any lost race is.
    """
    await made(service)
    stale = known(service)
    await rotated(service)
    before = states(service)
    with pytest.raises(ConflictingState, match=r"^the keys are being rotated by somebody else$"):
        await rotated(service, knowing=stale, force=force)

    assert states(service) == before


async def test_an_outage_in_the_middle_leaves_a_key_that_signs(service: FakeService) -> None:
    """Where the log goes away before the new next key is recorded, the rotation itself stands and
    the next start makes up for it.
    """
    await made(service)
    service.log.save_faults.extend([None, Fault.LOST])
    with pytest.raises(LedgerUnavailable):
        await rotated(service)

    assert states(service) == {KeyState.RETIRED: 1, KeyState.ACTIVE: 1}

    await ensure(ALGORITHM, known(service), service=service, provenance=Provenance(NOON, "req_9"))

    assert states(service) == {**STATES, KeyState.RETIRED: 1}


async def revoked(service: FakeService, kid: str, *, minutes: float = 1) -> SigningKey:
    """Revoke a key `minutes` after noon."""
    return await revoke(kid, service=service, provenance=later(minutes))


async def test_a_revoked_active_key_is_followed_in_the_same_unit(service: FakeService) -> None:
    """The leaked key goes and the next one signs, however new it is, with a new next one behind."""
    leaked, following = await made(service)

    gone = await revoked(service, leaked.kid)

    assert gone.state is KeyState.REVOKED
    assert [event.kid for event in service.log.units[-2]] == [leaked.kid, following.kid]
    assert states(service) == {**STATES, KeyState.REVOKED: 1}


async def test_what_a_revoked_key_signed_verifies_nowhere(service: FakeService) -> None:
    """A token of before the revocation is refused by a process that has read of it."""
    leaked, _ = await made(service)
    before = process(service)
    token = before.sign(CLAIMS, before.choose(None))
    await revoked(service, leaked.kid)

    with pytest.raises(UnverifiableToken, match="unknown kid"):
        process(service).verify(token)


async def test_the_next_key_can_be_revoked(service: FakeService) -> None:
    """It signed nothing: the active key signs on, and another next key is made."""
    active, leaked = await made(service)

    await revoked(service, leaked.kid)

    assert service.log.folded(SigningKey.stream(active.kid)).state is KeyState.ACTIVE
    assert states(service) == {**STATES, KeyState.REVOKED: 1}


async def test_a_retired_key_can_be_revoked(service: FakeService) -> None:
    """A key that leaked after its time takes what it signed with it, and nothing else changes."""
    leaked, _ = await made(service)
    await rotated(service)
    signing = [key.kid for key in known(service) if key.state is KeyState.ACTIVE]

    await revoked(service, leaked.kid, minutes=6)

    assert [key.kid for key in known(service) if key.state is KeyState.ACTIVE] == signing
    assert states(service) == {**STATES, KeyState.REVOKED: 1}


async def test_revoking_again_records_nothing(service: FakeService) -> None:
    """Who runs the command twice in alarm changes nothing the second time."""
    leaked, _ = await made(service)
    await revoked(service, leaked.kid)
    recorded = len(service.log.units)

    again = await revoked(service, leaked.kid)

    assert again.state is KeyState.REVOKED
    assert len(service.log.units) == recorded


async def test_revoking_an_unknown_key_is_refused(service: FakeService) -> None:
    """A kid that was never made here is not found."""
    with pytest.raises(NotFound, match="no such key: other"):
        await revoked(service, "other")


async def test_a_revocation_wins_against_a_rotation(service: FakeService) -> None:
    """Where a rotation is recorded first, the key is revoked from where that left it."""
    leaked, _ = await made(service)

    def other_rotates() -> None:
        active, following = (service.log.folded(SigningKey.stream(key.kid)) for key in stale)
        following.activate(AT_NOON)
        active.retire(verify_until=NOON + timedelta(days=1), provenance=AT_NOON)
        service.log.record(following, active)

    stale = known(service)
    service.log.meanwhile = other_rotates
    await revoked(service, leaked.kid)

    assert service.log.folded(SigningKey.stream(leaked.kid)).state is KeyState.REVOKED
    assert states(service)[KeyState.ACTIVE] == 1


async def test_without_a_next_key_one_is_made(service: FakeService) -> None:
    """A revocation does not wait for a next key: one is made and signs."""
    (leaked,) = [
        key
        for key in await ensure(ALGORITHM, [], service=service, provenance=AT_NOON)
        if key.state is KeyState.ACTIVE
    ]
    for key in known(service):
        if key.state is KeyState.GENERATED:
            key.retire(verify_until=NOON, provenance=AT_NOON)
            service.log.record(key)

    await revoked(service, leaked.kid)

    assert states(service) == {**STATES, KeyState.RETIRED: 1, KeyState.REVOKED: 1}


NEW_MASTER = SecretKey("master-2", b"n" * 32)


def under_a_new_master_key(service: FakeService) -> None:
    """Go on as a process that was started with a new master key before the old one."""
    service.master_keys = MasterKeys([NEW_MASTER, MASTER_KEY])


def wrapped_under(service: FakeService, kid: str) -> str:
    """Return the id of the master key that a private key lies under."""
    return service.key_store.kept[kid].master_key_id


async def test_a_start_replaces_a_next_key_of_an_older_master_key(service: FakeService) -> None:
    """The next key that the old master key wraps never signs: it leaves the key set at once."""
    active, old_next = await made(service)
    under_a_new_master_key(service)

    (new_next,) = await ensure(ALGORITHM, known(service), service=service, provenance=later(1))

    assert wrapped_under(service, new_next.kid) == "master-2"
    assert not service.log.folded(SigningKey.stream(old_next.kid)).published(later(1).occurred_at)
    assert service.log.folded(SigningKey.stream(active.kid)).state is KeyState.ACTIVE


@pytest.mark.parametrize("started", [True, False])
async def test_the_first_rotation_leads_out_of_an_older_master_key(
    service: FakeService, started: bool
) -> None:
    """The key that signs after it lies under the new one, with a start in between or without."""
    await made(service)
    under_a_new_master_key(service)
    if started:
        await ensure(ALGORITHM, known(service), service=service, provenance=later(1))

    active = await rotated(service, minutes=7, force=not started)

    assert wrapped_under(service, active.kid) == "master-2"
    assert states(service)[KeyState.GENERATED] == 1


async def test_a_rotation_that_has_to_wait_makes_the_key_that_it_waits_for(
    service: FakeService,
) -> None:
    """Without a start in between the first rotation says how long consumers take to learn of the
    key under the new master key; then it goes.
    """
    await made(service)
    under_a_new_master_key(service)
    with pytest.raises(ConflictingState, match=r"^the next key was published 0 s ago"):
        await rotated(service, minutes=10)

    active = await rotated(service, minutes=15)

    assert wrapped_under(service, active.kid) == "master-2"


async def test_a_revocation_activates_nothing_of_an_older_master_key(service: FakeService) -> None:
    """Whoever had the old master key could read the next key as well as the revoked one."""
    leaked, _ = await made(service)
    under_a_new_master_key(service)

    await revoked(service, leaked.kid)

    signing = [key for key in known(service) if key.state is KeyState.ACTIVE]
    assert [wrapped_under(service, key.kid) for key in signing] == ["master-2"]
