"""Report 20, log-health: whether the log itself can be relied on.

- pause: nothing was recorded for longer than `pause` minutes; the last may go on at the moment.
- gap: positions that no event has. A writer that died leaves none (application.ledger.schema); a
  month that retention detached leaves one, once the audit trail was made anew without it.
- backwards: an event recorded earlier, by the clock, than the one before it in the log: the clock
  of the database was set back. The order of the log is its positions, whatever the clock.
- skew: what lies between a process's clock, when something happened, and the database's, when it
  was recorded; negative where the process is ahead. The time that recording took is in it.
- projection: how far each read model is behind the log. That is known only of now: it is told only
  where neither a moment nor an export is asked.

Bounds: the window is of what was recorded in `days` before the moment. `most` bounds the findings
of each section, the largest first; the summary is of all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from projections.reports.report import Column, Kind, Parameter, Report, Row
from projections.status import ProjectionStatus, projection_status


def _with_projections(rows: Sequence[Row], values: Mapping[str, Any]) -> Sequence[Row]:
    live: Sequence[ProjectionStatus] = values.get("live", ())
    behind = [
        ("projection", one.projection, one.lag_seconds, "seconds", one.position, one.head)
        for one in live
    ]
    return [*rows, *((*row, None, None) for row in behind)]


LOG_HEALTH = Report(
    number=20,
    name="log-health",
    title="Health of the log",
    question="Is the log complete, in order and up to date, and do the clocks agree?",
    asked_by="DORA (EU) 2024/1774 Article 12, NIST SP 800-53 AU-5, AU-8",
    columns=(
        Column("section", "summary, pause, gap, backwards, skew or projection"),
        Column("name", "What is counted; of a finding, the topic of its event"),
        Column("value", "The number"),
        Column("unit", "Of what: events, positions or seconds"),
        Column("position", "The event behind it; of a projection, up to where it is complete"),
        Column("other", "The event before it; of a projection, the end of the log"),
        Column("recorded_at", "When the event was recorded (UTC)"),
        Column("other_at", "When the one before it was; of a skew, when it happened itself (UTC)"),
    ),
    parameters=(
        Parameter("days", Kind.DAYS, "Recorded in the days before the moment", default=7),
        Parameter("pause", Kind.NUMBER, "Tell pauses longer than so many minutes", default=60),
        Parameter("skew", Kind.NUMBER, "Tell skews larger than so many seconds", default=5),
        Parameter("most", Kind.NUMBER, "How many findings of a section to list", default=20),
    ),
    live=projection_status(),
    evaluate=_with_projections,
    sql="""
WITH beginning AS (
    -- An expression, or the planner would walk the whole log in order for its first event.
    SELECT min(position + 0) AS position FROM events
    WHERE recorded_at > %(moment)s - interval '1 day' * %(days)s
),
steps AS (
    SELECT position, topic, occurred_at, recorded_at,
        lag(position) OVER (ORDER BY position) AS before,
        lag(recorded_at) OVER (ORDER BY position) AS recorded_before
    FROM events
    WHERE position >= (SELECT position FROM beginning)
),
measured AS (
    SELECT steps.*, position - before - 1 AS missing, recorded_at - recorded_before AS since,
        recorded_at - occurred_at AS skew
    FROM steps
),
total AS (
    SELECT count(*) AS events, min(position) AS first, max(position) AS last,
        sum(missing) AS missing, max(since) AS longest, min(since) AS back,
        count(*) FILTER (WHERE recorded_at < recorded_before) AS backwards,
        min(skew) AS ahead, max(skew) AS late
    FROM measured
),
last AS (
    SELECT position, recorded_at, CAST(%(moment)s AS timestamptz) - recorded_at AS since
    FROM steps ORDER BY position DESC LIMIT 1
),
skewed AS (
    SELECT * FROM measured
    WHERE skew > interval '1 second' * %(skew)s OR skew < interval '-1 second' * %(skew)s
),
found AS (
    SELECT 2 AS part, 'pause' AS section, topic AS name, since AS size, position, before AS other,
        recorded_at, recorded_before AS other_at
    FROM measured WHERE since > interval '1 minute' * %(pause)s
    UNION ALL
    SELECT 2, 'pause', 'nothing since', since, NULL, position, NULL, recorded_at
    FROM last WHERE since > interval '1 minute' * %(pause)s
    UNION ALL
    SELECT 4, 'backwards', topic, since, position, before, recorded_at, recorded_before
    FROM measured WHERE recorded_at < recorded_before
    UNION ALL
    SELECT 5, 'skew', topic, skew, position, before, recorded_at, occurred_at FROM skewed
),
findings AS (
    SELECT part, section, name,
        CAST(extract(epoch FROM size) AS double precision) AS value, 'seconds' AS unit, position,
        other, recorded_at, other_at
    FROM found
    UNION ALL
    SELECT 3, 'gap', topic, missing, 'positions', position, before, recorded_at, recorded_before
    FROM measured WHERE missing > 0
),
placed AS (
    SELECT findings.*,
        row_number() OVER (
            PARTITION BY part ORDER BY abs(value) DESC, coalesce(position, other + 1)
        ) AS place
    FROM findings
),
summary AS (
    SELECT 1 AS place, 'events' AS name, CAST(events AS double precision) AS value,
        'events' AS unit, first AS position, last AS other
    FROM total
    UNION ALL
    SELECT 2, 'positions missing', coalesce(missing, 0), 'positions', NULL, NULL FROM total
    UNION ALL
    SELECT 3, 'longest pause', extract(epoch FROM longest), 'seconds', NULL, NULL FROM total
    UNION ALL
    SELECT 4, 'recorded backwards', backwards, 'events', NULL, NULL FROM total
    UNION ALL
    SELECT 5, 'largest step back', -extract(epoch FROM back), 'seconds', NULL, NULL FROM total
    UNION ALL
    SELECT 6, 'skewed', count(*), 'events', NULL, NULL FROM skewed
    UNION ALL
    SELECT 7, 'process ahead', -extract(epoch FROM ahead), 'seconds', NULL, NULL FROM total
    UNION ALL
    SELECT 8, 'recorded late', extract(epoch FROM late), 'seconds', NULL, NULL FROM total
    UNION ALL
    SELECT 9, 'age of the last event', extract(epoch FROM since), 'seconds', NULL, position
    FROM last
),
answer AS (
    SELECT 1 AS part, 'summary' AS section, name,
        CASE WHEN value > 0 THEN CAST(value AS double precision) ELSE 0 END AS value,
        unit, position, other, CAST(NULL AS timestamptz) AS recorded_at,
        CAST(NULL AS timestamptz) AS other_at, place
    FROM summary
    UNION ALL
    SELECT part, section, name, value, unit, position, other, recorded_at, other_at, place
    FROM placed WHERE place <= %(most)s
)
SELECT section, name, value, unit, position, other, recorded_at, other_at
FROM answer
ORDER BY part, place
""",
)
