"""Load, decide, save; and again when another writer was first: the loser reloads and decides."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from application.errors import ConflictingState, NotFound, from_domain
from application.ledger.errors import Conflict
from application.ports import EventLog
from domain.errors import DomainError
from domain.recorded import Recorded

ATTEMPTS = 5
A = TypeVar("A", bound=Recorded)


async def decide(
    log: EventLog, stream_id: UUID, kind: type[A], decision: Callable[[A], None], *, name: str
) -> A:
    """Apply `decision` to the aggregate of a stream, record it and return the aggregate.

    Raises NotFound where there is none (`name` is for the message), the OAuth error of a broken
    rule, ConflictingState after five lost races, LedgerUnavailable.
    """
    for _ in range(ATTEMPTS):
        aggregate = await log.load(stream_id)
        if not isinstance(aggregate, kind):
            raise NotFound(f"no such {kind.__name__.lower()}: {name}")
        try:
            decision(aggregate)
        except DomainError as error:
            raise from_domain(error) from error
        try:
            await log.save(aggregate)
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
