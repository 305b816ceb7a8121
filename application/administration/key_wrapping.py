"""Encrypt the private signing keys anew, under the present master key.

This is for a master key that is replaced in good order. It does not help against one that leaked
together with the database: what was readable stays readable to the thief, so that the keys
themselves must be rotated or revoked (application.administration.signing_keys).

The act is recorded before it is done: a run that breaks off has recorded an act too many, which the
next run records and does again, and never did one that is not recorded.
"""

from collections.abc import Callable
from typing import Protocol

from application.administration.deciding import DecidingService, decide
from application.errors import ConflictingState
from application.ports import Directory
from application.secret_keys import MasterKeys, WrappedKey
from domain.provenance import Provenance
from domain.signing_key import SigningKey


class KeyStore(Protocol):
    """Where wrapped private keys lie."""

    async def get(self, kids: list[str]) -> list[WrappedKey]:
        """Return the wrapped keys of `kids`, those that there are. Raises LedgerUnavailable."""

    async def replace(self, old: WrappedKey, new: WrappedKey) -> bool:
        """Keep `new` in the place of `old`; False where `old` is no longer what is kept."""


class _Service(DecidingService, Protocol):
    @property
    def directory(self) -> Directory: ...

    @property
    def master_keys(self) -> MasterKeys: ...

    @property
    def key_store(self) -> KeyStore: ...


async def rewrap(
    *,
    service: _Service,
    provenance: Provenance,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[str]:
    """Encrypt every private key that lies under an older master key anew; return their kids.

    `progress` is told how many of how many are done. Each key is opened once more, as it is going
    to be kept, before it replaces the old one. Raises MasterKeyMismatch, before anything changes,
    where a key does not open; ConflictingState where another process does the same;
    LedgerUnavailable.
    """
    masters, store = service.master_keys, service.key_store
    wrapped = await store.get([key.kid for key in service.directory.keys()])
    older = [one for one in wrapped if one.master_key_id != masters.current_id]
    pairs = [(one, _wrapped_anew(one, masters)) for one in older]
    for done, (old, new) in enumerate(pairs, 1):
        await decide(
            service,
            SigningKey.stream(old.kid),
            SigningKey,
            lambda key: key.rewrap(master_key_id=masters.current_id, provenance=provenance),
            name=old.kid,
        )
        if not await store.replace(old, new):
            raise ConflictingState(f"key {old.kid} is being wrapped by another process")
        progress(done, len(pairs))
    return [old.kid for old in older]


def _wrapped_anew(old: WrappedKey, masters: MasterKeys) -> WrappedKey:
    private = masters.unwrap(old)
    new = masters.wrap(old.kid, private)
    if masters.unwrap(new) != private:
        raise AssertionError("a key that was wrapped anew does not open to itself")
    return new
