"""Report 14, scope-creep: how what clients may ask for grew and shrank over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from projections.reports.client_state import CLIENT_EVENTS
from projections.reports.report import Column, Kind, Parameter, Report, Row


def _compared(rows: Sequence[Row], _values: Mapping[str, Any]) -> Sequence[Row]:
    """Say what each event added to, and took from, the scopes before it."""
    found = []
    for *who, before, after in rows:
        had, has = before or [], after or []
        added = [scope for scope in has if scope not in had]
        removed = [scope for scope in had if scope not in has]
        found.append((*who, len(has), added, removed, has))
    return found


SCOPE_CREEP = Report(
    number=14,
    name="scope-creep",
    title="Scope creep",
    question="How did the scopes of each client change over time, by whom and why?",
    asked_by="ISO 27001 A.5.18",
    columns=(
        Column("client_id", "The client"),
        Column("position", "The event, by its position"),
        Column("occurred_at", "When (UTC)"),
        Column("actor", "Who changed them"),
        Column("reason", "The reason that was given"),
        Column("scopes", "How many it has from then on"),
        Column("added", "Which came"),
        Column("removed", "Which went"),
        Column("all", "Which it has from then on"),
    ),
    parameters=(
        Parameter("client_id", Kind.TEXT, "Only this client"),
        Parameter("since", Kind.MOMENT, "Only changes recorded from then on"),
    ),
    evaluate=_compared,
    sql=f"""
WITH {CLIENT_EVENTS},
told AS (
    SELECT client_id, position, occurred_at, recorded_at, actor, reason,
        lag((detail -> 'scopes')) OVER (PARTITION BY client_id ORDER BY position) AS before,
        (detail -> 'scopes') AS after
    FROM client_events
    WHERE topic IN ('client.registered', 'client.scopes_changed')
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
)
SELECT client_id, position, occurred_at, actor, reason, before, after FROM told
WHERE CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s
ORDER BY client_id COLLATE "C", position
""",
)
