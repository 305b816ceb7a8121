"""Load, decide, save; and again when another writer was first: the loser reloads and decides.

What an administrator decides goes ahead of what the holder of a client or an account decides about
it, in this process and in others (application.insisting): a client that changes itself in a loop
is disabled all the same.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from application.errors import ConflictingState, NotFound, from_domain
from application.insisting import ATTEMPTS, insist, stand_back
from application.ledger.errors import Conflict
from application.ports import EventLog
from application.turns import Turns
from domain.errors import DomainError
from domain.recorded import Recorded

A = TypeVar("A", bound=Recorded)


class DecidingService(Protocol):
    """What it takes to decide about what is recorded."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def turns(self) -> Turns:
        """Who uses which stream in this process."""


async def decide(
    service: DecidingService,
    stream_id: UUID,
    kind: type[A],
    decision: Callable[[A], None],
    *,
    name: str,
) -> A:
    """Apply `decision` to the aggregate of a stream, record it and return the aggregate.

    Raises NotFound where there is none (`name` is for the message), the OAuth error of a broken
    rule, TemporarilyUnavailable after too many lost races, LedgerUnavailable.
    """
    decided: list[A] = []

    async def once() -> Sequence[Recorded]:
        decided[:] = [await _decided(service, stream_id, kind, decision, name)]
        return decided

    turn = service.turns.of(stream_id)
    async with turn.stream:
        await insist(service.log, once)
    return decided[0]


async def decide_as_holder(
    service: DecidingService,
    stream_id: UUID,
    kind: type[A],
    decision: Callable[[A], None],
    *,
    name: str,
) -> A:
    """Do the same for a client or person that decides about itself: behind every administrator.

    Raises as `decide` does, but ConflictingState after too many lost races.
    """
    turn = service.turns.of(stream_id)
    for _ in range(ATTEMPTS):
        async with turn.queue:
            try:
                async with turn.stream:
                    decided = await _decided(service, stream_id, kind, decision, name)
                    await service.log.save(decided)
                    return decided
            except Conflict as lost:
                await stand_back(lost)
    raise ConflictingState(f"{name} is being changed by others; try again")


async def _decided(
    service: DecidingService,
    stream_id: UUID,
    kind: type[A],
    decision: Callable[[A], None],
    name: str,
) -> A:
    aggregate = await service.log.load(stream_id)
    if not isinstance(aggregate, kind):
        raise NotFound(f"no such {kind.__name__.lower()}: {name}")
    try:
        decision(aggregate)
    except DomainError as error:
        raise from_domain(error) from error
    return aggregate


async def begin(log: EventLog, aggregate: A, *, name: str) -> A:
    """Record a new aggregate. Raises ConflictingState where its stream exists already."""
    try:
        await log.save(aggregate)
    except Conflict:
        raise ConflictingState(
            f"the {type(aggregate).__name__.lower()} {name} is registered already"
        ) from None
    return aggregate
