"""Report 19, audit-access: who read the record itself, and who carried it away.

Readings are counted by who, over which way, what was read and by which parameters, none of which
is left out or cut (domain.audit_reading; events of before version 2 may have been); an export has
a row when it begins, before the first file is written, and another when it is whole, with the hash
of its manifest. One that began and has no end was broken off. Proofs are not given out yet.
"""

from projections.reports.report import Column, Kind, Parameter, Report

AUDIT_ACCESS = Report(
    number=19,
    name="audit-access",
    title="Access to audit data",
    question="Who read audit data, asked for reports or exported it, how often and when?",
    asked_by="PCI DSS 10.2.1.3",
    columns=(
        Column("act", "read, export begun or export finished"),
        Column("who", "A subject, a client, or cli: and a user of the system"),
        Column("via", "Over http, cli or console"),
        Column("what", "What was read; of an export, which positions"),
        Column("times", "How often it was read"),
        Column("events", "Of an export: how many events it holds"),
        Column("first_at", "When first (UTC)"),
        Column("last_at", "When last (UTC)"),
        Column("filters", "By what each reading was narrowed; why the export was made"),
        Column("manifest_sha256", "Of a finished export: by which its files are proven"),
    ),
    parameters=(
        Parameter("who", Kind.TEXT, "Only what this one did"),
        Parameter("since", Kind.MOMENT, "The first moment of recording that counts"),
        Parameter("until", Kind.MOMENT, "The first moment of recording that counts no more"),
    ),
    sql="""
WITH accesses AS (
    SELECT * FROM events
    WHERE topic IN ('audit.read', 'audit_export.started', 'audit_export.finished')
        AND topic <> 'token.issued'
        AND (CAST(%(who)s AS text) IS NULL OR actor = %(who)s)
        AND (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
),
answer AS (
    SELECT 'read' AS act, actor AS who, detail->>'via' AS via, detail->>'what' AS what,
        CAST(sum(CAST(detail->>'count' AS bigint)) AS bigint) AS times,
        CAST(NULL AS bigint) AS events, min(CAST(detail->>'first_at' AS timestamptz)) AS first_at,
        max(CAST(detail->>'last_at' AS timestamptz)) AS last_at,
        (detail->'parameters') AS filters,
        CAST(NULL AS text) AS manifest_sha256, min(position) AS position
    FROM accesses
    WHERE topic = 'audit.read'
    GROUP BY actor, detail->>'via', detail->>'what', detail->'parameters'
    UNION ALL
    SELECT CASE WHEN topic = 'audit_export.started' THEN 'export begun' ELSE 'export finished' END,
        actor, 'cli',
        'positions ' || (detail->>'first_position') || ' to ' || (detail->>'last_position'), 1,
        CAST(detail->>'rows' AS bigint), occurred_at, occurred_at, to_jsonb(reason),
        detail->>'manifest_sha256', position
    FROM accesses
    WHERE topic <> 'audit.read'
)
SELECT act, who, via, what, times, events, first_at, last_at, filters, manifest_sha256
FROM answer
ORDER BY first_at, position
""",
)
