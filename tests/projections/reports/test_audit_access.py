"""Report 19: who read the record, and who carried it away."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from domain.audit_export import AuditExport
from domain.audit_reading import AuditReading, Reading
from projections.reports.audit_access import AUDIT_ACCESS
from tests.builders import NOON, stream_id
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def after(minutes: float) -> datetime:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def _read(story: Story, readings: AuditReading, by: str, what: str, count: int, **how: str) -> None:
    """Record `count` readings within the minute before the next act."""
    provenance = story.act()
    readings.read(
        Reading(by, how.get("via", "http"), what),
        parameters=(how["filters"],) if how.get("filters") else (),
        count=count,
        first_at=provenance.occurred_at - timedelta(seconds=30),
        last_at=provenance.occurred_at,
        provenance=provenance,
    )
    story.record(readings)


def test_counts_readings_and_lists_exports(recording: Recording, session: Connection[Any]) -> None:
    """Readings by who, how and what; each export when it began and when it was whole."""
    story = Story(recording)
    readings = AuditReading.start(
        stream_id(), process="p-1", day="2026-03-03", provenance=story.act()
    )
    _read(story, readings, "auditor", "events", 3, filters="client_id=web")  # 2
    _read(story, readings, "auditor", "events", 40, filters="")  # 3
    _read(story, readings, "cli:root", "report live-tokens", 1, via="cli")  # 4
    export = AuditExport.start(
        stream_id(),
        first_position=1,
        last_position=4,
        rows=4,
        provenance=story.act(by="cli:root", why="audit 2026"),
    )
    story.record(export)  # 5
    before = story.position
    export.finish(
        first_position=1,
        last_position=4,
        rows=4,
        files=1,
        manifest_sha256="0" * 64,
        provenance=story.act(by="cli:root", why="audit 2026"),
    )
    story.record(export)  # 6
    _read(story, readings, "auditor", "events", 1, filters="jti=x")  # 7
    story.settle()
    reads = ("read", "auditor", "http", "events")
    report = ("read", "cli:root", "cli", "report live-tokens", 1, None, after(3.5), after(4))
    begun = ("export begun", "cli:root", "cli", "positions 1 to 4", 1, 4, after(5), after(5))

    assert asked(session, AUDIT_ACCESS, as_of=before) == [
        (*reads, 3, None, after(1.5), after(2), ["client_id=web"], None),
        (*reads, 40, None, after(2.5), after(3), [], None),
        (*report, [], None),
        (*begun, "audit 2026", None),
    ]
    ended = ("export finished", *begun[1:6], after(6), after(6), "audit 2026", "0" * 64)
    everything = [
        (*reads, 3, None, after(1.5), after(2), ["client_id=web"], None),
        (*reads, 40, None, after(2.5), after(3), [], None),
        (*report, [], None),
        (*begun, "audit 2026", None),
        ended,
        (*reads, 1, None, after(6.5), after(7), ["jti=x"], None),
    ]
    assert asked(session, AUDIT_ACCESS, as_of=story.now) == everything
    assert asked(session, AUDIT_ACCESS, as_of=story.now, who="auditor") == [
        *everything[:2],
        everything[-1],
    ]
    within = {"since": after(6), "until": after(7)}
    assert asked(session, AUDIT_ACCESS, as_of=story.now, **within) == [ended]
