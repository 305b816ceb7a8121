"""given(events).when(command).then(facts): how a test of the domain reads.

`then` compares every fact of every new event, and checks what holds for all of them: versions
follow the stream's last one, the circumstances are the command's, and folding all events leads to
the very aggregate that the command left behind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from domain.provenance import Provenance
from domain.recorded import Administered, Recorded, fold

_IDENTITY = ("originator_id", "originator_version", "originator_topic")


@dataclass(frozen=True)
class Fact:
    """An event without its identity and circumstances."""

    event_class: type
    facts: dict[str, Any]


def fact(event_class: type, **facts: Any) -> Fact:
    """Return what a new event should say."""
    return Fact(event_class, facts)


def events_of(aggregate: Recorded, *commands: Callable[[Any], object]) -> list[Any]:
    """Return the events of `aggregate` after `commands`, all of them undecided so far."""
    for command in commands:
        command(aggregate)
    return list(aggregate.facts())


class Outcome:
    """What a command led to."""

    def __init__(self, before: list[Any], aggregate: Any, result: object) -> None:
        if isinstance(result, Recorded):
            # A factory: what it decided is on a stream of its own, and nothing on the old one.
            assert aggregate is None or list(aggregate.facts()) == []
            before, aggregate = [], result
        self._before = before
        self._aggregate = aggregate
        self.events: list[Any] = list(aggregate.facts())

    def then(self, *expected: Fact, at: Provenance) -> Any:
        """Check that the command recorded exactly `expected` in the circumstances `at`.

        Returns the aggregate.
        """
        assert [_fact_of(event, at) for event in self.events] == list(expected)
        everything = [*self._before, *self.events]
        assert [event.originator_version for event in everything] == [
            *range(1, len(everything) + 1)
        ]
        assert {event.originator_id for event in everything} == {self._aggregate.id}
        assert fold(everything) == self._aggregate
        return self._aggregate

    def then_nothing(self) -> None:
        """Check that the command recorded nothing."""
        assert self.events == []


class Given:
    """A stream as it stands before the command."""

    def __init__(self, events: list[Any]) -> None:
        self._events = events

    def when(self, command: Callable[[Any], object]) -> Outcome:
        """Run `command` on the aggregate, on None where nothing was given."""
        aggregate = fold(self._events)
        return Outcome(self._events, aggregate, command(aggregate))

    def refuses(
        self, command: Callable[[Any], object], error: type[Exception], message: str
    ) -> None:
        """Check that `command` is refused with exactly this message and records nothing."""
        aggregate = fold(self._events)
        before = fold(self._events)
        with pytest.raises(error) as refusal:
            command(aggregate)

        assert str(refusal.value) == message
        assert aggregate is None or list(aggregate.facts()) == []
        assert aggregate == before


def given(*events: Any) -> Given:
    """Begin with a stream of `events`, oldest first; with no stream where there are none."""
    return Given(list(events))


def _fact_of(event: Any, at: Provenance) -> Fact:
    facts = {name: value for name, value in vars(event).items() if name not in _IDENTITY}
    circumstances = {
        "timestamp": at.occurred_at,
        "request_id": at.request_id,
        "traceparent": at.traceparent,
    }
    if isinstance(event, Administered.Event):
        circumstances |= {"by": at.by, "why": at.why}
    assert {name: facts.pop(name) for name in circumstances} == circumstances
    return Fact(type(event), facts)
