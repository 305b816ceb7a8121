"""Report 18 leaves no administrative act out, whoever adds one later."""

from domain.audit_export import AuditExport
from domain.recorded import Administered
from projections.reports.administration import ADMINISTRATION
from tests.event_classes import event_classes

ELSEWHERE = AuditExport.Event
"""Who takes audit data out is asked of report 19, audit-access."""


def test_every_administrative_event_is_selected() -> None:
    """Each event that says by whom and why, but those of another report, is named in the SQL."""
    topics: set[str] = {
        vars(one)["TOPIC"]
        for one in event_classes()
        if issubclass(one, Administered.Event) and not issubclass(one, ELSEWHERE)
    }

    assert len(topics) > 20
    assert {topic for topic in topics if f"'{topic}'" not in ADMINISTRATION.sql} == set()
