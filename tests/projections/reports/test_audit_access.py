"""Report 19: who read the record, and who carried it away."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from domain.audit_export import AuditExport
from projections.reports.audit_access import AUDIT_ACCESS
from tests.builders import NOON, stream_id
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def after(minutes: float) -> datetime:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def test_lists_each_export(recording: Recording, session: Connection[Any]) -> None:
    """Each export when it began, and when it was whole."""
    story = Story(recording)
    facts = {"first_position": 1, "last_position": 4, "rows": 4}
    export = AuditExport.start(
        stream_id(), **facts, provenance=story.act(by="cli:root", why="audit 2026")
    )
    before = story.record(export)  # 1
    export.finish(
        **facts,
        files=1,
        manifest_sha256="0" * 64,
        provenance=story.act(by="cli:root", why="audit 2026"),
    )
    story.record(export)  # 2
    story.settle()
    common = ("cli:root", "cli", "positions 1 to 4", 1, 4)
    begun = ("export begun", *common, after(1), after(1), "audit 2026", None)
    finished = ("export finished", *common, after(2), after(2), "audit 2026", "0" * 64)

    assert asked(session, AUDIT_ACCESS, as_of=before) == [begun]
    assert asked(session, AUDIT_ACCESS, as_of=story.now) == [begun, finished]
    assert asked(session, AUDIT_ACCESS, as_of=story.now, who="auditor") == []
    assert asked(session, AUDIT_ACCESS, as_of=story.now, since=after(2)) == [finished]
    assert asked(session, AUDIT_ACCESS, as_of=story.now, until=after(2)) == [begun]
