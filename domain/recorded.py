"""The base of every aggregate here: events that say when and in which request they happened.

`timestamp` is the library's name of the moment; in the stored state it reads `occurred_at`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.utils import resolve_topic

from domain.provenance import Provenance


class Recorded(Aggregate):
    """An aggregate whose events carry the request they came from."""

    if TYPE_CHECKING:  # each aggregate has its own, permanent
        TOPIC: str

    class Event(Aggregate.Event):
        """A fact with its request: `request_id`, and `traceparent` (W3C) or an empty string."""

        request_id: str
        traceparent: str

    class Created(Event, Aggregate.Created):
        """The first fact of a stream."""

        def mutate(self, aggregate: Any) -> Any:
            """Return the aggregate that this fact begins.

            What the library does but for passing facts to __init__: state here comes from apply
            methods alone, and inspecting signatures costs as much as deciding.
            """
            assert aggregate is None
            begun = object.__new__(resolve_topic(self.originator_topic))
            begun.__base_init__(self.originator_id, self.originator_version, self.timestamp)
            self.apply(begun)
            return begun

    @classmethod
    def _begin(
        cls, event_class: Any, stream_id: UUID, provenance: Provenance, **facts: Any
    ) -> Self:
        """Record the first fact of the stream `stream_id`."""
        event = _filled(
            event_class,
            originator_id=stream_id,
            originator_version=cls.INITIAL_VERSION,
            originator_topic=cls.TOPIC,
            timestamp=provenance.occurred_at,
            request_id=provenance.request_id,
            traceparent=provenance.traceparent,
            **facts,
        )
        aggregate: Self = event.mutate(None)
        aggregate.pending_events.append(event)
        return aggregate

    def _record(self, event_class: Any, provenance: Provenance, **facts: Any) -> None:
        """Record a further fact of this stream."""
        event = _filled(
            event_class,
            originator_id=self.id,
            originator_version=self.version + 1,
            timestamp=provenance.occurred_at,
            request_id=provenance.request_id,
            traceparent=provenance.traceparent,
            **facts,
        )
        event.mutate(self)
        self.pending_events.append(event)

    def _completed(self, event: Any, **facts: Any) -> Any:
        """Return `event` with `facts` that were not known when it was decided.

        What is recorded never changes: an event that is not pending any more is returned as it is.
        """
        if not any(one is event for one in self.pending_events):
            return event
        completed = object.__new__(type(event))
        completed.__dict__.update(event.__dict__)
        if not facts.keys() <= completed.__dict__.keys():
            raise TypeError(f"{event.TOPIC}: these are not facts of this event")
        completed.__dict__.update(facts)
        self.pending_events[:] = [completed if one is event else one for one in self.pending_events]
        return completed

    def copied(self) -> Self:
        """Return the same aggregate for another decision, with nothing decided yet.

        Shallow: apply methods replace values and never change one in place.
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._pending_events = []
        return copy

    def facts(self) -> Sequence[CanMutateAggregate[UUID]]:
        """Return the facts decided since the last call, oldest first."""
        return self.collect_events()


def _filled(event_class: Any, **facts: Any) -> Any:
    """Return an event with these facts.

    The library looks up signatures and topics for every event, and a frozen class is filled value
    by value through object.__setattr__: two fifths of the cost of deciding about a token. What both
    lead to is the same.
    """
    event = object.__new__(event_class)
    event.__dict__.update(facts)
    if event.__dict__.keys() != event_class.__dataclass_fields__.keys():
        raise TypeError(f"{event_class.TOPIC}: these are not the facts of this event")
    return event


class Administered(Recorded):
    """An aggregate that people configure: every event also says by whom and why."""

    class Event(Recorded.Event):
        """An administrative act: `by` names who did it, `why` the stated reason or empty."""

        by: str
        why: str

    class Created(Event, Recorded.Created):
        """The first administrative act of a stream."""

    @classmethod
    def _begin(
        cls, event_class: Any, stream_id: UUID, provenance: Provenance, **facts: Any
    ) -> Self:
        return super()._begin(
            event_class, stream_id, provenance, by=provenance.by, why=provenance.why, **facts
        )

    def _record(self, event_class: Any, provenance: Provenance, **facts: Any) -> None:
        super()._record(event_class, provenance, by=provenance.by, why=provenance.why, **facts)


def fold(events: Sequence[CanMutateAggregate[UUID]], *, since: Any = None) -> Any:
    """Return the aggregate that `events`, oldest first, lead to; None without any.

    `since` is the aggregate as of before the first of them, None for the beginning; it changes.
    """
    aggregate: Any = since
    for event in events:
        aggregate = event.mutate(aggregate)
    return aggregate


MOST_ESCAPED = 1_000


def escaped(text: str) -> str:
    """Return a stranger's text as it is recorded: what is not printable as an escape ("\\u0000").

    Refusals must be recorded whatever was sent; the store holds neither U+0000 nor half of a
    character. Past MOST_ESCAPED characters "..." stands for the rest.
    """
    if len(text) > MOST_ESCAPED:
        text = f"{text[:MOST_ESCAPED]}..."
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def moment(value: datetime) -> str:
    """Return `value` as people read it in messages: UTC, to the second."""
    return value.strftime("%Y-%m-%d %H:%M:%SZ")
