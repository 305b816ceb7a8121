"""All events that the log may hold, found by walking the aggregates that the ledger knows."""

from typing import Any

from application.ledger.topics import AGGREGATES
from domain.recorded import Recorded


def event_classes() -> list[type[Any]]:
    """Return every event class of every aggregate once; the bases named `Event` are none."""
    found: dict[type[Any], None] = {}
    for aggregate in AGGREGATES:
        for value in vars(aggregate).values():
            if isinstance(value, type) and issubclass(value, Recorded.Event):
                found[value] = None
    return [event_class for event_class in found if event_class.__name__ != "Event"]
