"""What changed about one thing between two moments, field by field, and which acts did it.

Each event between the two is folded alone, and what it changed is what the view says differently
after it: no table here says which event changes which field. A field that was changed and changed
back is not listed; the acts that did so are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from projections.as_of import AsOf, resolve_in_log
from projections.past import Fact, Past, folded
from projections.query import Asking

Render = Callable[[Any], Mapping[str, Any]]
_ABSENT: Mapping[str, Any] = {}


class UnusableRange(ValueError):
    """The first moment comes after the second."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that says something else now; `before` or `after` is None where it was not there.

    `positions` are those of the acts that changed it.
    """

    field: str
    before: Any
    after: Any
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """What was done at `position`, when (UTC), by whom, why, and which `fields` it changed."""

    position: int
    occurred_at: datetime
    topic: str
    by: str
    why: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened between two prefixes of the log; `existed` is about the first of them."""

    since: AsOf
    until: AsOf
    existed: bool
    fields: tuple[FieldChange, ...]
    acts: tuple[Act, ...]


def difference(
    stream_id: UUID,
    render: Render,
    *,
    since: int | datetime,
    until: int | datetime | None,
    now: datetime,
) -> Asking[Difference | None]:
    """Ask query after query and return what changed; None for what did not exist at `until`.

    `render` shows the aggregate as fields; `until` None is now. Raises UnusableRange.
    """
    first = yield from resolve_in_log(since, now=now)
    second = yield from resolve_in_log(until, now=now)
    backwards = isinstance(since, datetime) and isinstance(until, datetime) and since > until
    if backwards or first.position > second.position:
        raise UnusableRange("the first moment comes after the second: ask the other way round")
    return (yield from _compared(stream_id, render, first, second))


def _compared(
    stream_id: UUID, render: Render, first: AsOf, second: AsOf
) -> Asking[Difference | None]:
    aggregate: Any = None
    began = before = _ABSENT
    acts: list[Act] = []
    page: Sequence[Fact] | None = None
    while page := (yield from Past(second).following(stream_id, page)):
        known = [fact for fact in page if fact.position <= first.position]
        if known:
            aggregate = folded(known, since=aggregate)
            began = before = dict(_fields(render(aggregate)))
        for fact in page[len(known) :]:
            aggregate = folded([fact], since=aggregate)
            after = dict(_fields(render(aggregate)))
            acts.append(_act(fact, _differing(before, after)))
            before = after
    if aggregate is None:
        return None
    changes = _changes(began, before, acts)
    return Difference(first, second, began is not _ABSENT, changes, tuple(acts))


def _changes(
    began: Mapping[str, Any], ended: Mapping[str, Any], acts: Sequence[Act]
) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(
            name,
            began.get(name),
            ended.get(name),
            tuple(act.position for act in acts if name in act.fields),
        )
        for name in _differing(began, ended)
    )


def _act(fact: Fact, fields: tuple[str, ...]) -> Act:
    event = fact.event
    return Act(fact.position, event.timestamp, fact.topic, event.by, event.why, fields)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    # In the order of the view; what is gone comes last.
    names = dict.fromkeys((*after, *before))
    return tuple(name for name in names if before.get(name) != after.get(name))


def _fields(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Return nested fields by dotted names, so that a change is shown where it is."""
    for name, part in value.items():
        if isinstance(part, Mapping) and part:
            yield from _fields(part, f"{path}{name}.")
        else:
            yield f"{path}{name}", part
