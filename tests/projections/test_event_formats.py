"""OCSF and CloudEvents: every kind of event has its class, and nothing required is missing."""

from dataclasses import fields
from typing import Any

import pytest
from psycopg import Connection
from pydantic_core import to_json

from projections.audit_trail import OUTCOMES, SET_ASIDE, AuditEntry, search
from projections.cloud_events import cloud_event
from projections.event_filter import EventFilter
from projections.ocsf import ocsf_event
from tests.builders import NOON
from tests.projections.recording import Recording
from tests.projections.reports.rich_history import RichHistory
from tests.projections.reports.story import Story

REQUIRED = {
    *("metadata", "time", "class_uid", "category_uid", "activity_id", "type_uid"),
    *("severity_id", "status_id", "actor", "src_endpoint"),
}
OF_CLASS = {6003: "api", 3002: "user", 2004: "finding_info", 3004: "entity"}


def test_a_whole_history(recording: Recording, session: Connection[Any]) -> None:
    """Each event has what OCSF 1.8 requires of all, and of its class."""
    story = Story(recording)
    RichHistory(story)
    story.settle()
    found = search(EventFilter(), limit=1000).fetch(session)

    for entry in found:
        event = ocsf_event(entry)
        assert event.keys() >= REQUIRED | {OF_CLASS[event["class_uid"]]}
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["category_uid"] == event["class_uid"] // 1000
        assert event["status_id"] == (1 if entry.outcome == "success" else 2)
        assert to_json(event)
        carried = cloud_event(entry, source="https://as.example")
        assert carried["id"] == str(entry.position)
        assert carried.keys() >= {"specversion", "id", "source", "type", "time", "data"}
        assert to_json(carried)
    assert len(found) == story.position


@pytest.mark.parametrize(
    ("facts", "class_uid", "activity_id"),
    [
        ({"topic": "token.issued", "grant_type": "client_credentials"}, 6003, 1),
        ({"topic": "token.issued", "grant_type": "refresh_token", "subject": "alice"}, 3002, 1),
        ({"topic": "grant.denied", "grant_type": "refresh_token", "client_id": "a"}, 3002, 1),
        ({"topic": "grant.denied", "grant_type": "client_credentials"}, 6003, 1),
        ({"topic": "token.revoked"}, 6003, 4),
        ({"topic": "session.ended"}, 3002, 2),
        ({"topic": "session.started"}, 3002, 1),
        ({"topic": "family.reuse_detected"}, 2004, 1),
        ({"topic": "code.replayed"}, 2004, 1),
        ({"topic": "forged_token.presented", "kid": "key-1"}, 2004, 1),
        ({"topic": "client.registered"}, 3004, 1),
        ({"topic": "client.scopes_changed"}, 3004, 3),
        ({"topic": "client.disabled"}, 3004, 4),
        ({"topic": "client.used"}, 6003, 99),
        ({"topic": "audit.read"}, 6003, 99),
        ({"topic": "event.set_aside"}, 2004, 1),
    ],
)
def test_ocsf_classes(facts: dict[str, Any], class_uid: int, activity_id: int) -> None:
    """Issuing, logging in, refusing, revoking, reuse and administration are told apart."""
    event = ocsf_event(_entry(**facts))

    assert (event["class_uid"], event["activity_id"]) == (class_uid, activity_id)


def test_reuse_is_severe() -> None:
    """A finding is what somebody should look at."""
    assert ocsf_event(_entry(topic="family.reuse_detected"))["severity_id"] == 4


def test_an_event_set_aside_is_severe_and_named() -> None:
    """Which event cannot be shown is in the finding, under the topic of the row itself."""
    detail = {"topic": "client.disabled", "stream_id": "s", "cause": "unreadable"}
    event = ocsf_event(_entry(topic=SET_ASIDE, outcome="failure", detail=detail))

    assert (event["severity_id"], event["status_id"]) == (4, 2)
    assert event["finding_info"]["title"] == "An event cannot be shown"
    assert event["message"] == (
        "An event client.disabled of the stream s cannot be shown and was set aside: unreadable."
    )
    assert event["unmapped"] == {**detail, "topic": SET_ASIDE}
    carried = cloud_event(_entry(topic=SET_ASIDE, detail=detail), source="https://as.example")
    assert carried["type"] == SET_ASIDE


def test_every_topic_maps() -> None:
    """No topic is without a class."""
    for topic in OUTCOMES:
        assert ocsf_event(_entry(topic=topic))["class_uid"] in OF_CLASS


def _entry(**facts: Any) -> AuditEntry:
    absent = dict.fromkeys(field.name for field in fields(AuditEntry))
    plain = {
        "position": 1,
        "occurred_at": NOON,
        "recorded_at": NOON,
        "outcome": "success",
        "detail": {},
    }
    return AuditEntry(**{**absent, **plain, **facts})
