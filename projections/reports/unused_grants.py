"""Report 13, unused-grants: what clients are allowed and did not use: candidates to take away.

A scope, an audience or a grant type counts as used where a token issued in the days before had it.
"""

from projections.reports.client_state import CLIENT_EVENTS, CLIENT_STATE
from projections.reports.report import Column, Kind, Parameter, Report

UNUSED_GRANTS = Report(
    number=13,
    name="unused-grants",
    title="Unused grants",
    question="Which scopes, audiences and grant types are clients allowed that they did not use?",
    asked_by="Least privilege (NIST SP 800-53 AC-6)",
    columns=(
        Column("client_id", "The client"),
        Column("owner", "The principal whose authority bounds it, if any"),
        Column("kind", "scope, audience or grant_type"),
        Column("name", "What it is allowed"),
        Column("tokens", "Tokens it was issued in the days before, whatever they had"),
    ),
    parameters=(
        Parameter("days", Kind.DAYS, "Unused for so many days", default=90),
        Parameter("client_id", Kind.TEXT, "Only this client"),
    ),
    sql=f"""
WITH {CLIENT_EVENTS}, {CLIENT_STATE},
live AS (
    SELECT * FROM client_state
    WHERE enabled AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
),
-- What many tokens have in common is counted first, and taken apart once.
issued AS (
    SELECT client_id, grant_type, scope, audience, count(*) AS tokens FROM events
    WHERE topic = 'token.issued'
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
        AND recorded_at > CAST(%(moment)s AS timestamptz) - interval '1 day' * %(days)s
    GROUP BY client_id, grant_type, scope, audience
),
totals AS (SELECT client_id, CAST(sum(tokens) AS bigint) AS tokens FROM issued GROUP BY client_id),
used AS (
    SELECT client_id, 'scope' AS kind, unnest(scope) AS name FROM issued
    UNION SELECT client_id, 'audience', unnest(audience) FROM issued
    UNION SELECT client_id, 'grant_type', grant_type FROM issued
),
allowed AS (
    SELECT client_id, owner, 'scope' AS kind, jsonb_array_elements_text(scopes) AS name FROM live
    UNION ALL
    SELECT client_id, owner, 'audience', jsonb_array_elements_text(audiences -> 'allowed') FROM live
    UNION ALL
    SELECT client_id, owner, 'grant_type', jsonb_array_elements_text(grant_types) FROM live
)
SELECT allowed.client_id, owner, allowed.kind, allowed.name, coalesce(totals.tokens, 0) AS tokens
FROM allowed
LEFT JOIN used ON used.client_id = allowed.client_id AND used.kind = allowed.kind
    AND used.name = allowed.name
LEFT JOIN totals ON totals.client_id = allowed.client_id
WHERE used.name IS NULL
ORDER BY allowed.client_id COLLATE "C", allowed.kind, allowed.name COLLATE "C"
""",
)
