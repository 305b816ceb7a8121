"""Make, rotate and revoke signing keys.

There is always a *next* key: generated and published, not used. A rotation activates it, retires
the active one, and makes a new next. A next key that consumers may not have seen yet is refused:
they cache the key set for `jwks_max_age` seconds.

A key that leaked is revoked, not retired: it leaves the key set, verifies nothing, and every token
that it signed is void, since nobody can tell which of them its thief made. Where it signs, the next
key takes its place in the same unit, however new that is.

Only a next key that lies under the present master key is activated. Where the master key is
replaced because it leaked, the keys that it wrapped are as good as leaked too, and a rotation must
lead out of that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from application.administration.deciding import begin
from application.errors import ConflictingState, NotFound
from application.insisting import ATTEMPTS
from application.key_material import generate_private_key, private_key_bytes, public_jwk
from application.ledger.errors import Conflict
from application.ports import Directory, EventLog
from application.secret_keys import MasterKeys, WrappedKey
from domain.client_configuration import MAX_LIFETIME
from domain.errors import KeyStateError
from domain.provenance import Provenance
from domain.signing_key import KeyState, SigningKey

CLOCK_SKEW = timedelta(minutes=5)


class KeyStore(Protocol):
    """Where wrapped private keys lie."""

    async def put(self, wrapped: WrappedKey) -> None:
        """Keep a wrapped key. Raises LedgerUnavailable."""

    async def get(self, kids: Sequence[str]) -> list[WrappedKey]:
        """Return the wrapped keys of `kids`, those that there are. Raises LedgerUnavailable."""


class KeyService(Protocol):
    """Dependencies of making and rotating keys."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def master_keys(self) -> MasterKeys:
        """The keys that wrap private keys."""

    @property
    def key_store(self) -> KeyStore:
        """Where wrapped private keys lie."""

    @property
    def jwks_max_age(self) -> int:
        """Seconds that consumers may cache the key set."""


class _RevokingService(KeyService, Protocol):
    @property
    def directory(self) -> Directory: ...


async def ensure(
    algorithm: str, known: Iterable[SigningKey], *, service: KeyService, provenance: Provenance
) -> list[SigningKey]:
    """Make sure that there is an active and a next key of `algorithm`; return what was made.

    A next key under an older master key is replaced. Raises ConflictingState where another process
    replaces it, LedgerUnavailable.
    """
    mine = [key for key in known if key.algorithm == algorithm]
    made = []
    if not any(key.state is KeyState.ACTIVE for key in mine):
        made.append(await _generate(algorithm, active=True, service=service, by=provenance))
    waiting = _in(KeyState.GENERATED, mine)
    if not await _well_wrapped(waiting, service):
        made.append(await _generate(algorithm, active=False, service=service, by=provenance))
        await _withdraw(waiting, service=service, provenance=provenance)
    return made


async def rotate(
    algorithm: str,
    known: Iterable[SigningKey],
    *,
    force: bool = False,
    service: KeyService,
    provenance: Provenance,
) -> SigningKey:
    """Let the next key sign, retire the active ones, make a new next; return the new active key.

    `force` is for a leaked key: it skips the wait until consumers have seen the next key, and
    revokes the active ones. Raises ConflictingState without a next key, with one that is too new,
    or after a lost race; LedgerUnavailable.
    """
    mine = [key for key in known if key.algorithm == algorithm]
    waiting = _in(KeyState.GENERATED, mine)
    if not waiting:
        raise ConflictingState(f"there is no next {algorithm} key; run it again in a moment")
    usable = await _well_wrapped(waiting, service)
    if not usable:
        usable = [await _generate(algorithm, active=False, service=service, by=provenance)]
        await _withdraw(waiting, service=service, provenance=provenance)
    successor = await _reload(usable[0], service.log)
    if not force:
        _require_published(successor, service.jwks_max_age, provenance.occurred_at)
    ending = [await _reload(key, service.log) for key in _in(KeyState.ACTIVE, mine)]
    verify_until = provenance.occurred_at + MAX_LIFETIME + CLOCK_SKEW
    try:
        successor.activate(provenance)
        for key in ending:
            if force:
                key.revoke(provenance)
            else:
                key.retire(verify_until=verify_until, provenance=provenance)
        await service.log.save(successor, *ending)
    except (KeyStateError, Conflict):
        raise ConflictingState("the keys are being rotated by somebody else") from None
    if len(usable) == 1:
        await _generate(algorithm, active=False, service=service, by=provenance)
    return successor


async def revoke(kid: str, *, service: _RevokingService, provenance: Provenance) -> SigningKey:
    """Revoke a key, let the next one sign where this one did, and make a new next.

    Return the revoked key; one that was revoked before is returned as it is. Raises NotFound,
    ConflictingState after too many lost races, LedgerUnavailable.
    """
    for _ in range(ATTEMPTS):
        await service.directory.refresh()
        key = await service.log.load(SigningKey.stream(kid))
        if not isinstance(key, SigningKey):
            raise NotFound(f"no such key: {kid}")
        if key.state is not KeyState.REVOKED:
            try:
                unit = await _succeeded(key, service, provenance)
                key.revoke(provenance)
                await service.log.save(key, *unit)
            except (Conflict, KeyStateError):
                continue  # another process rotates: what it made is read first
        await service.directory.refresh()
        await ensure(
            key.algorithm, service.directory.keys(), service=service, provenance=provenance
        )
        return key
    raise ConflictingState(f"key {kid} is being changed by others; try again")


async def _succeeded(
    key: SigningKey, service: _RevokingService, provenance: Provenance
) -> list[SigningKey]:
    """Return what is to sign in the place of `key`, activated and not saved yet; nothing where it
    does not sign, or is not the only one.
    """
    others = [
        one
        for one in service.directory.keys()
        if one.algorithm == key.algorithm and one.kid != key.kid
    ]
    if key.state is not KeyState.ACTIVE or _in(KeyState.ACTIVE, others):
        return []
    usable = await _well_wrapped(_in(KeyState.GENERATED, others), service)
    successor = (
        await _reload(usable[0], service.log)
        if usable
        else await _generate(key.algorithm, active=False, service=service, by=provenance)
    )
    successor.activate(provenance)
    return [successor]


def _in(state: KeyState, keys: Iterable[SigningKey]) -> list[SigningKey]:
    return [key for key in keys if key.state is state]


async def _well_wrapped(keys: Sequence[SigningKey], service: KeyService) -> list[SigningKey]:
    """Return those of `keys` whose private half lies under the present master key."""
    if not keys:
        return []
    wrapped = await service.key_store.get([key.kid for key in keys])
    current = service.master_keys.current_id
    well = {one.kid for one in wrapped if one.master_key_id == current}
    return [key for key in keys if key.kid in well]


async def _withdraw(
    keys: Sequence[SigningKey], *, service: KeyService, provenance: Provenance
) -> None:
    """Retire next keys at once: they signed nothing, so that nothing is left to verify."""
    fresh = [await _reload(key, service.log) for key in keys]
    try:
        for key in fresh:
            key.retire(verify_until=provenance.occurred_at, provenance=provenance)
        await service.log.save(*fresh)
    except (KeyStateError, Conflict):
        raise ConflictingState("the keys are being rotated by somebody else") from None


def _require_published(key: SigningKey, jwks_max_age: int, now: datetime) -> None:
    age = (now - key.created_on).total_seconds()
    if age < jwks_max_age:
        raise ConflictingState(
            f"the next key was published {age:.0f} s ago and consumers cache the key set for "
            f"{jwks_max_age} s: wait {jwks_max_age - age:.0f} s, or force it for a leaked key"
        )


async def _generate(
    algorithm: str, *, active: bool, service: KeyService, by: Provenance
) -> SigningKey:
    private = generate_private_key(algorithm)
    kid, jwk = public_jwk(private, algorithm)
    # The private half first: a key that is recorded can always sign; one that is not is just lost.
    await service.key_store.put(service.master_keys.wrap(kid, private_key_bytes(private)))
    key = SigningKey.generate(kid=kid, algorithm=algorithm, public_jwk=jwk, provenance=by)
    if active:
        key.activate(by)
    return await begin(service.log, key, name=kid)


async def _reload(key: SigningKey, log: EventLog) -> SigningKey:
    fresh = await log.load(SigningKey.stream(key.kid))
    assert isinstance(fresh, SigningKey)
    return fresh
