"""Load, decide, save; and again when another writer was first: the loser reloads and decides.

In one process whoever wants the same stream is served in turn: nobody who writes to it in a loop
keeps an administrator from disabling them. Against other processes there are ATTEMPTS.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar
from uuid import UUID

from application.ending import ATTEMPTS
from application.errors import ConflictingState, NotFound, from_domain
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
    rule, ConflictingState after too many lost races, LedgerUnavailable.
    """
    async with service.turns.of(stream_id):
        for _ in range(ATTEMPTS):
            aggregate = await service.log.load(stream_id)
            if not isinstance(aggregate, kind):
                raise NotFound(f"no such {kind.__name__.lower()}: {name}")
            try:
                decision(aggregate)
            except DomainError as error:
                raise from_domain(error) from error
            try:
                await service.log.save(aggregate)
            except Conflict:
                continue
            return aggregate
    raise ConflictingState(f"{name} is being changed by others; try again")


async def begin(log: EventLog, aggregate: A, *, name: str) -> A:
    """Record a new aggregate. Raises ConflictingState where its stream exists already."""
    try:
        await log.save(aggregate)
    except Conflict:
        raise ConflictingState(
            f"the {type(aggregate).__name__.lower()} {name} is registered already"
        ) from None
    return aggregate
