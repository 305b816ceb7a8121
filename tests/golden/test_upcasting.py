"""Upcasting: what an earlier version stored reads as the present version, wherever it is read."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from application.ledger.mapper import LedgerMapper
from domain.provenance import Provenance
from domain.recorded import Recorded

STREAM = UUID("019cb391-c2fa-7bd5-9a71-cb94b598a865")
MOMENT = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


class Throwaway(Recorded):
    """An aggregate of this test alone, whose event has changed twice."""

    TOPIC = "throwaway"

    class Event(Recorded.Event):
        """Something that happened to the aggregate."""

    class Begun(Event, Recorded.Created):
        """Version 1 had `scope`, a string; version 2 made it a list; version 3 added `origin`."""

        TOPIC = "throwaway.begun"
        class_version = 3
        scopes: tuple[str, ...]
        origin: str

        def apply(self, aggregate: Any) -> None:
            aggregate.scopes = self.scopes
            aggregate.origin = self.origin

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Split what was a space-delimited string."""
            state["scopes"] = state.pop("scope").split()

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """Say that the origin was not recorded then."""
            state["origin"] = "unknown"

    Created = Begun  # the inherited name: every event has its topic

    @classmethod
    def begin(cls) -> "Throwaway":
        """Record the event as of today."""
        return cls._begin(
            cls.Begun, STREAM, Provenance(MOMENT, "req_1"), scopes=("a", "b"), origin="test"
        )


COMMON = (
    '"occurred_at":"2026-03-03T12:00:00Z","request_id":"req_1","traceparent":"",'
    '"originator_topic":"throwaway"'
)
STORED = {
    1: f'{{{COMMON},"scope":"a b"}}',
    2: f'{{{COMMON},"scopes":["a","b"],"class_version":2}}',
    3: f'{{{COMMON},"scopes":["a","b"],"origin":"test","class_version":3}}',
}
ORIGIN = {1: "unknown", 2: "unknown", 3: "test"}


@pytest.mark.parametrize("version", STORED)
def test_every_version_reads_as_the_present_event(version: int) -> None:
    """An event that any version stored is read as an event of the present version."""
    stored = StoredEvent(STREAM, 1, "throwaway.begun", STORED[version].encode())
    event: Any = LedgerMapper().to_domain_event(stored)

    assert type(event) is Throwaway.Begun
    assert (event.scopes, event.origin) == (("a", "b"), ORIGIN[version])
    assert (event.originator_id, event.originator_version) == (STREAM, 1)
    assert event.timestamp == MOMENT
    assert event.mutate(None).scopes == ("a", "b")


@pytest.mark.parametrize("version", STORED)
def test_every_version_reads_as_the_present_facts(version: int) -> None:
    """Projections, which read facts without building events, see the present version as well."""
    facts = LedgerMapper().to_facts("throwaway.begun", STORED[version].encode())

    assert facts == {
        "occurred_at": "2026-03-03T12:00:00Z",
        "request_id": "req_1",
        "traceparent": "",
        "originator_topic": "throwaway",
        "scopes": ["a", "b"],
        "origin": ORIGIN[version],
    }


def test_a_new_event_is_stored_with_its_version() -> None:
    """What is stored today says its version, so that it is never upcast by what comes before it."""
    (event,) = Throwaway.begin().facts()
    stored = LedgerMapper().to_stored_event(event)
    facts = LedgerMapper().transcoder.decode(stored.state)
    read = LedgerMapper().to_domain_event(stored)

    assert facts["class_version"] == 3
    assert vars(read) == vars(event)


@pytest.mark.parametrize(
    ("description", "topic", "state"),
    [
        ("unknown topic", "throwaway.forgotten", STORED[3]),
        ("no JSON", "throwaway.begun", "{"),
        ("a field is missing", "throwaway.begun", f'{{{COMMON},"class_version":3}}'),
        (
            "a field of another type",
            "throwaway.begun",
            f'{{{COMMON},"scopes":7,"origin":"x","class_version":3}}',
        ),
    ],
)
def test_what_cannot_be_read_is_refused(description: str, topic: str, state: str) -> None:
    """A topic or state that does not fit raises the one error for it, never half an event."""
    with pytest.raises(MapperDeserialisationError):
        LedgerMapper().to_domain_event(StoredEvent(STREAM, 1, topic, state.encode()))
