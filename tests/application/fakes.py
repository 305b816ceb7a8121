"""In-memory stand-ins for our own ports: the only things that tests of the use cases replace."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from application.derived_tokens import Derived
from application.ledger.errors import Conflict, EndAnnounced, LedgerUnavailable
from application.ledger.mapper import LedgerMapper
from application.request_context import RequestContext
from application.secret_keys import WrappedKey
from application.single_use import OUTLIVES
from domain.client import Client
from domain.ids import uuid7
from domain.principal import Principal
from domain.recorded import Recorded, fold
from domain.signing_key import SigningKey
from domain.trusted_issuer import TrustedIssuer
from tests.builders import NOON

E = TypeVar("E")


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def advance(self, **elapsed: float) -> None:
        """Move on by `elapsed`, named as timedelta names it."""
        self.moment += timedelta(**elapsed)


class SequentialIds:
    """Names in sequence: the first session is number 1."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def stream_id(self, now: datetime) -> UUID:
        return uuid7(now, next(self._numbers).to_bytes(10, "big"))

    def session_id(self) -> str:
        return f"sess_{next(self._numbers):032x}"

    def request_id(self) -> str:
        return f"req_{next(self._numbers):024x}"


class Fault(Enum):
    """How a save goes wrong, seen from the log: the caller gets LedgerUnavailable either way."""

    LOST = auto()
    """Nothing was recorded."""
    IN_DOUBT = auto()
    """It was recorded, and only the answer was lost."""


class MemoryLog:
    """An EventLog in memory: units are whole, a version that is taken is a conflict.

    Events go through the mapper, so that only what can be stored comes back. `save_faults` and
    `load_faults` are used up one a call, None or False meaning that the call goes well;
    `meanwhile` runs once, just before the next save: there another writer is faster. `known` has
    what this process is said to have seen last, by stream.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._mapper = LedgerMapper()
        self._streams: dict[UUID, list[StoredEvent]] = {}
        self.units: list[Sequence[Any]] = []
        self.save_faults: deque[Fault | None] = deque()
        self.load_faults: deque[bool] = deque()
        self.meanwhile: Callable[[], object] | None = None
        self.known: dict[UUID, Recorded] = {}
        self.loads = 0
        self.announced: dict[UUID, set[UUID]] = {}

    @property
    def events(self) -> list[Any]:
        """Everything that is recorded, oldest first."""
        return [event for unit in self.units for event in unit]

    def of(self, event_class: type[E]) -> list[E]:
        """Return the recorded events of one class, oldest first."""
        return [event for event in self.events if isinstance(event, event_class)]

    def record(self, *aggregates: Recorded) -> None:
        """Record what was decided; what tests begin with. Raises Conflict."""
        if any(one.id in streams for one in aggregates for streams in self.announced.values()):
            raise EndAnnounced("an end of the stream is announced")
        facts = [fact for aggregate in aggregates for fact in aggregate.facts()]
        stored = [self._mapper.to_stored_event(fact) for fact in facts]
        for event in stored:
            before = len(self._streams.get(_stream(event), ()))
            if event.originator_version <= before:
                raise Conflict("another writer was first")
        for event in stored:
            self._streams.setdefault(_stream(event), []).append(event)
        if facts:
            self.units.append(facts)

    def copy(self, stored: Iterable[StoredEvent]) -> None:
        """Take over events of another log, oldest first of each stream."""
        for event in stored:
            self._streams.setdefault(_stream(event), []).append(event)

    async def save(self, *aggregates: Recorded) -> int:
        self._meet_another()
        fault = self.save_faults.popleft() if self.save_faults else None
        if fault is Fault.LOST:
            for aggregate in aggregates:
                aggregate.facts()
        else:
            self.record(*aggregates)
        if fault is not None:
            raise LedgerUnavailable("PostgreSQL is away")
        return len(self.events)

    def _meet_another(self) -> None:
        if self.meanwhile is not None:
            run, self.meanwhile = self.meanwhile, None
            run()

    async def announce(self, holder: UUID, streams: Iterable[UUID]) -> None:
        self.announced[holder] = {*streams}

    async def save_end(self, holder: UUID, *aggregates: Recorded) -> int:
        self._meet_another()
        another, self.meanwhile = self.meanwhile, None
        announced, self.announced = self.announced, {}
        try:
            position = await self.save(*aggregates)
        except BaseException:
            self.announced = announced
            raise
        finally:
            self.meanwhile = another
        self.announced = {key: value for key, value in announced.items() if key != holder}
        return position

    async def withdraw(self, holder: UUID) -> None:
        self.announced.pop(holder, None)

    async def load(self, stream_id: UUID) -> Any:
        self.loads += 1
        if self.load_faults and self.load_faults.popleft():
            raise LedgerUnavailable("PostgreSQL cannot be read")
        return self.folded(stream_id)

    async def settled(self, stream_id: UUID) -> Any:
        return await self.load(stream_id)

    def recent(self, stream_id: UUID) -> Any:
        known = self.known.get(stream_id)
        return known.copied() if known is not None else None

    def folded(self, stream_id: UUID) -> Any:
        """Return the aggregate of a stream, None where there is none."""
        stored = self._streams.get(stream_id, ())
        return fold([self._mapper.to_domain_event(event) for event in stored])

    def all_of(self, kind: type[E]) -> list[E]:
        """Return every aggregate of one kind, oldest first."""
        everything = [self.folded(stream_id) for stream_id in self._streams]
        return [aggregate for aggregate in everything if isinstance(aggregate, kind)]


class SlowLog(MemoryLog):
    """A log that records at once and answers a save only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.saving = asyncio.Event()
        self.going_on = asyncio.Event()

    async def save(self, *aggregates: Recorded) -> int:
        position = await super().save(*aggregates)
        self.saving.set()
        await self.going_on.wait()
        return position


class InterleavingLog(MemoryLog):
    """A log where others go on whenever one reads or records: all who want the same stream at once
    meet there. `saves` counts what was tried to record, lost races included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.saves = 0

    async def load(self, stream_id: UUID) -> Any:
        found = await super().load(stream_id)
        await asyncio.sleep(0)
        return found

    async def save(self, *aggregates: Recorded) -> int:
        self.saves += 1
        await asyncio.sleep(0)
        return await super().save(*aggregates)


class MemoryDirectory:
    """A Directory that always shows what `log` says by now; `lost` is the time that it lost."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.lost: tuple[datetime, datetime] | None = None

    def client(self, client_id: str) -> Client | None:
        found: Client | None = self._log.folded(Client.stream(client_id))
        return found

    def principal(self, subject: str) -> Principal | None:
        found: Principal | None = self._log.folded(Principal.stream(subject))
        return found

    def issuer(self, issuer: str) -> TrustedIssuer | None:
        found: TrustedIssuer | None = self._log.folded(TrustedIssuer.stream(issuer))
        return found

    def require_fresh(self) -> None:
        """It always is."""

    def lost_with_the_log(self, iat: datetime) -> bool:
        """Tell whether `lost` takes in `iat`."""
        return self.lost is not None and self.lost[0] <= iat <= self.lost[1]

    async def refresh(self) -> None:
        """Nothing to read: it keeps nothing."""

    def key(self, kid: str) -> SigningKey | None:
        found: SigningKey | None = self._log.folded(SigningKey.stream(kid))
        return found

    def keys(self) -> Iterable[SigningKey]:
        return self._log.all_of(SigningKey)


class PatientDevices:
    """Devices that poll no more often than they may."""

    async def polls_too_often(self, device: Derived, context: RequestContext) -> bool:
        return False


class MemoryKeyStore:
    """A KeyStore in memory; `away` makes it refuse."""

    def __init__(self) -> None:
        self.kept: dict[str, WrappedKey] = {}
        self.away = False

    async def put(self, wrapped: WrappedKey) -> None:
        if self.away:
            raise LedgerUnavailable("a key could not be stored")
        self.kept[wrapped.kid] = wrapped

    async def get(self, kids: Collection[str]) -> list[WrappedKey]:
        return [self.kept[kid] for kid in kids if kid in self.kept]

    async def replace(self, old: WrappedKey, new: WrappedKey) -> bool:
        if self.kept.get(old.kid) != old:
            return False
        self.kept[old.kid] = new
        return True


def _stream(event: StoredEvent) -> UUID:
    return UUID(str(event.originator_id))


class MemoryNames:
    """Used names in memory, for as many replicas as share it."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], datetime] = {}

    async def use(self, kind: str, key: bytes, *, expires_at: datetime, now: datetime) -> bool:
        """Use a name, unless it was used and has not expired."""
        name = (kind, key)
        if name in self.kept and now < self.kept[name]:
            return False
        self.kept[name] = expires_at + OUTLIVES
        return True
