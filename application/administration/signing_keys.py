"""Make and rotate signing keys.

There is always a *next* key: generated and published, not used. A rotation activates it, retires
the active one, and makes a new next. A next key that consumers may not have seen yet is refused:
they cache the key set for `jwks_max_age` seconds.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from application.administration.deciding import begin
from application.errors import ConflictingState
from application.key_material import generate_private_key, private_key_bytes, public_jwk
from application.ledger.errors import Conflict
from application.ports import EventLog
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


class _Service(Protocol):
    @property
    def log(self) -> EventLog: ...

    @property
    def master_keys(self) -> MasterKeys: ...

    @property
    def key_store(self) -> KeyStore: ...

    @property
    def jwks_max_age(self) -> int: ...


async def ensure(
    algorithm: str, known: Iterable[SigningKey], *, service: _Service, provenance: Provenance
) -> list[SigningKey]:
    """Make sure that there is an active and a next key of `algorithm`; return what was made.

    Raises LedgerUnavailable.
    """
    mine = [key for key in known if key.algorithm == algorithm]
    made = []
    if not any(key.state is KeyState.ACTIVE for key in mine):
        made.append(await _generate(algorithm, active=True, service=service, by=provenance))
    if not any(key.state is KeyState.GENERATED for key in mine):
        made.append(await _generate(algorithm, active=False, service=service, by=provenance))
    return made


async def rotate(
    algorithm: str,
    known: Iterable[SigningKey],
    *,
    force: bool = False,
    service: _Service,
    provenance: Provenance,
) -> SigningKey:
    """Let the next key sign, retire the active ones, make a new next; return the new active key.

    `force` skips the wait until consumers have seen the next key: for a leaked key. Raises
    ConflictingState without a next key, with one that is too new, or after a lost race;
    LedgerUnavailable.
    """
    mine = [key for key in known if key.algorithm == algorithm]
    waiting = [key for key in mine if key.state is KeyState.GENERATED]
    if not waiting:
        raise ConflictingState(f"there is no next {algorithm} key; run it again in a moment")
    successor = await _reload(waiting[0], service.log)
    if not force:
        _require_published(successor, service.jwks_max_age, provenance.occurred_at)
    retiring = [await _reload(key, service.log) for key in mine if key.state is KeyState.ACTIVE]
    verify_until = provenance.occurred_at + MAX_LIFETIME + CLOCK_SKEW
    try:
        successor.activate(provenance)
        for key in retiring:
            key.retire(verify_until=verify_until, provenance=provenance)
        await service.log.save(successor, *retiring)
    except (KeyStateError, Conflict):
        raise ConflictingState("the keys are being rotated by somebody else") from None
    await _generate(algorithm, active=False, service=service, by=provenance)
    return successor


def _require_published(key: SigningKey, jwks_max_age: int, now: datetime) -> None:
    age = (now - key.created_on).total_seconds()
    if age < jwks_max_age:
        raise ConflictingState(
            f"the next key was published {age:.0f} s ago and consumers cache the key set for "
            f"{jwks_max_age} s: wait {jwks_max_age - age:.0f} s, or force it for a leaked key"
        )


async def _generate(
    algorithm: str, *, active: bool, service: _Service, by: Provenance
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
