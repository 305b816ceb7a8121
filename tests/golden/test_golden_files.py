"""What is in the log stays readable: each event encodes to its golden file, and back.

A golden file holds the topic and the state of one event as they are stored. Files are added, never
edited: what they show is in logs already.
"""

import json
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import get_topic, resolve_topic

import domain
from application.ledger.mapper import LedgerMapper
from application.ledger.topics import AGGREGATES
from domain.recorded import Recorded
from tests.event_classes import event_classes
from tests.golden.examples import examples

HERE = Path(__file__).parent
EXAMPLES = examples()
FILES = sorted(path.stem for path in HERE.glob("*.json"))
HOW = (
    "If the event is new, or has a new class_version with an upcaster, add the file with the text"
    " below. If the file exists, restore the event: files are never edited.\n"
)


def golden(stored: StoredEvent) -> str:
    """Return the text of the golden file of `stored`."""
    content = {"topic": stored.topic, "state": json.loads(stored.state)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def stored_as_in(name: str, event: Any) -> StoredEvent:
    """Return the golden file `name` as it lies in the store, at the place of `event`."""
    content = json.loads((HERE / f"{name}.json").read_text())
    # As compact as in the store: the file only adds white space.
    state = json.dumps(content["state"], separators=(",", ":"), ensure_ascii=False)
    return StoredEvent(
        event.originator_id, event.originator_version, content["topic"], state.encode()
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_is_stored_as_ever(name: str) -> None:
    """The event encodes to exactly the topic and the bytes of its golden file."""
    stored = LedgerMapper().to_stored_event(EXAMPLES[name])
    path = HERE / f"{name}.json"

    assert path.exists(), f"tests/golden/{name}.json is missing. {HOW}{golden(stored)}"
    assert stored == stored_as_in(name, EXAMPLES[name]), (
        f"{name} would be stored otherwise than before. {HOW}{golden(stored)}"
    )


@pytest.mark.parametrize("name", [name for name in FILES if name in EXAMPLES])
def test_a_golden_file_is_read_as_ever(name: str) -> None:
    """The golden file decodes to an event equal to the one that it was made from."""
    event = EXAMPLES[name]
    read = LedgerMapper().to_domain_event(stored_as_in(name, event))

    assert type(read) is type(event)
    assert vars(read) == vars(event)


@pytest.mark.parametrize("name", FILES)
def test_every_golden_file_can_be_read(name: str) -> None:
    """Golden files of past versions too become events of the present version of their class."""
    placed = EXAMPLES[next(iter(EXAMPLES))]
    stored = stored_as_in(name, placed)
    read = LedgerMapper().to_domain_event(stored)

    assert type(read) is resolve_topic(stored.topic)
    assert name.startswith(f"{stored.topic}.v")


@pytest.mark.parametrize("event_class", event_classes(), ids=lambda c: c.__qualname__)
def test_every_event_class_has_a_golden_file(event_class: type[Any]) -> None:
    """Each version of each event class has a golden file, and the present one an example."""
    name = f"{event_class.TOPIC}.v"
    version = getattr(event_class, "class_version", 1)

    assert f"{name}{version}" in EXAMPLES, (
        f"{event_class.__qualname__} has no example: add one to tests/golden/examples.py,"
        " then run this again for the text of its golden file"
    )
    assert [f"{name}{past}" for past in range(1, version + 1) if f"{name}{past}" not in FILES] == []


@pytest.mark.parametrize("event_class", event_classes(), ids=lambda c: c.__qualname__)
def test_topics_are_explicit(event_class: type[Any]) -> None:
    """An event's topic is written down on its own class, reads `aggregate.participle`, leads back
    to the class and is no module path.
    """
    topic = vars(event_class).get("TOPIC")

    assert topic, f"{event_class.__qualname__} has no TOPIC of its own"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", topic)
    assert get_topic(event_class) == topic
    assert resolve_topic(topic) is event_class


def test_topics_are_unique() -> None:
    """No two classes, aggregates included, share a topic."""
    topics = [vars(found).get("TOPIC") for found in (*AGGREGATES, *event_classes())]

    assert len(topics) == len(set(topics))
    assert [resolve_topic(aggregate.TOPIC) for aggregate in AGGREGATES] == [*AGGREGATES]


def test_the_ledger_knows_every_aggregate() -> None:
    """Each aggregate of the domain is listed for the ledger, so that its topics resolve."""
    for module in pkgutil.iter_modules(domain.__path__, "domain."):
        import_module(module.name)
    known = {
        found
        for found in _subclasses(Recorded)
        if found.__module__.startswith("domain.") and "TOPIC" in vars(found)
    }

    assert known == set(AGGREGATES)


def _subclasses(base: type[Any]) -> set[type[Any]]:
    direct = set(base.__subclasses__())
    return direct.union(*map(_subclasses, direct))
