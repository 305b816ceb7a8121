"""Whatever an event holds: it is refused before it is recorded, or every read model takes it."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection
from pydantic import BaseModel

from application.errors import Unrecordable
from application.ledger.recordable import LONGEST_NAME
from domain.visible_text import is_hidden
from projections.audit_trail import AUDIT_TRAIL, search
from projections.event_filter import EventFilter
from projections.export.checking import check
from projections.export.exporting import export
from projections.export.parts import PositionRange
from projections.log_reader import log_head
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from projections.sentences import sentence
from projections.verify import verify
from tests.builders import stream_id
from tests.golden.examples import examples
from tests.projections.projecting import catch_up, status
from tests.projections.recording import Recording

EXAMPLES = 150
ISOLATES = dict.fromkeys(range(0x2066, 0x206A))
"""What a sentence puts around names that are written from right to left (domain.visible_text)."""
_OURS = frozenset({"originator_topic", "jti", "lineage", "stream_id"})
"""Made by this service out of nothing that anybody sent."""
_UNIQUE = frozenset({"session_id", "family_id"})
"""Likewise; they are left to differ, and get any text behind them."""

CHARACTERS = st.characters(codec=None, exclude_categories=())
TEXTS = (
    st.text(CHARACTERS, max_size=20)
    | st.sampled_from(["\0", "a\0b", "\ud800", "\udfff\ud800", "\\u0000", '"', "\\", "{}", "NULL"])
    | st.integers(1, 4 * LONGEST_NAME).map(
        # Of one, two, three and four bytes each, so that no index can compress it.
        lambda size: "".join(chr(0x20 + 7919 * n % 0x2FFFF) for n in range(size))
    )
)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
Draw = Callable[[st.SearchStrategy[Any]], Any]


def _any(value: Any, draw: Draw, *, free: bool = False) -> Any:
    """Return `value` with other texts, and with anything at all where it is free JSON."""
    if isinstance(value, str):
        return draw(TEXTS)
    if isinstance(value, BaseModel):
        kept = {name: _any(one, draw) for name, one in value}
        return value.model_copy(update=kept)
    if isinstance(value, dict):
        return {**value, **draw(st.dictionaries(TEXTS, FREE, max_size=3))}
    if isinstance(value, list | tuple):
        return type(value)(_any(one, draw) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        kept = {
            one.name: _any(getattr(value, one.name), draw)
            for one in fields(value)
            if one.name not in _OURS
        }
        return replace(value, **kept)
    return value


def _changed(event: Any, draw: Draw) -> Any:
    """Return the event on a stream of its own, a few of its facts changed."""
    facts = {**vars(event), "originator_id": stream_id()}
    names = [name for name in vars(event) if name not in _OURS | {"originator_id"}]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        facts[name] = _any(facts[name], draw)
    for name in _UNIQUE & facts.keys():
        facts[name] = f"{facts['originator_id']}{facts[name]}"
    changed = object.__new__(type(event))
    changed.__dict__.update(facts)
    return changed


def test_no_event_that_is_recorded_is_lacking_anywhere(
    recording: Recording, session: Connection[Any], tmp_path: Any
) -> None:
    """Any text in every field of every event: all read models, their rebuilds and drift checks, the
    sentences and the export are complete.
    """
    known = examples()
    outcomes = {"refused": 0, "recorded": 0}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def record(data: st.DataObject) -> None:
        for name in data.draw(st.lists(st.sampled_from(sorted(known)), min_size=4, max_size=4)):
            event = _changed(known[name], data.draw)
            try:
                stored = recording.mapper.to_stored_event(event)
            except Unrecordable:
                outcomes["refused"] += 1
            else:
                recording._recorder.insert_events([stored])
                outcomes["recorded"] += 1

    record()
    catch_up(recording.database_url)

    assert min(outcomes.values()) > EXAMPLES / 4, outcomes
    lacking = {one.projection: (one.lag_events, one.set_aside) for one in _status(recording)}
    assert lacking == {projection.name: (0, 0) for projection in PROJECTIONS}
    for projection in PROJECTIONS:
        rebuild(recording.database_url, projection)
        assert verify(recording.database_url, projection).clean
    assert {one.set_aside for one in _status(recording)} == {0}
    entries = search(EventFilter(), limit=10_000).fetch(session)
    assert len(entries) == log_head(session) == outcomes["recorded"]
    shown = "".join(sentence(entry) for entry in entries).translate(ISOLATES)
    assert not any(map(is_hidden, shown))
    whole = PositionRange(1, log_head(session))
    export(recording.database_url, tmp_path, whole, issuer="https://i", announce=lambda *_: None)
    assert check(tmp_path).problems == ()


def _status(recording: Recording) -> list[Any]:
    return status(recording.database_url, [AUDIT_TRAIL, *PROJECTIONS[1:]])
