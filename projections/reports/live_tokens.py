"""Report 6, live-tokens: what works at the moment asked for, as introspection would have said.

The states are those of projections.reports.liveness; listed are live tokens, and suspended ones,
which work again when somebody enables a client.

Bounds: `most` bounds the tokens that are listed, live ones first and the latest first; `live` and
`suspended` on each row count all that fit, listed or not.
"""

from projections.reports.liveness import JUDGED, UNEXPIRED
from projections.reports.report import Column, Kind, Parameter, Report

LIVE_TOKENS = Report(
    number=6,
    name="live-tokens",
    title="Live tokens",
    question="Which tokens worked at that moment, whose are they, and where are they good?",
    asked_by="Incident response, NIST SP 800-53 AC-12",
    columns=(
        Column("jti", "The token"),
        Column(
            "state",
            "live, as introspection said then; or suspended: refused then, and good again should"
            " what it waits for stand",
        ),
        Column("because", "Of a suspended token: the client, owner, principal or issuer"),
        Column("form", "access_token, or id_jag for another authorization server"),
        Column("client_id", "To whom it was issued"),
        Column("subject", "On whose behalf"),
        Column("actors", "Who acts for the subject, the present one first"),
        Column("grant_type", "By which grant type"),
        Column("scope", "Its scopes, in descending level"),
        Column("audience", "Where it is good"),
        Column("session_id", "Under which session"),
        Column("family_id", "With which family of refresh tokens"),
        Column("confirmation", "How it is bound to a key: jkt, x5t#S256 or not at all"),
        Column("kid", "The key that signed it"),
        Column("issued_at", "When it was issued (UTC)"),
        Column("expires_at", "When it expires (UTC)"),
        Column("live", "How many live tokens there were, listed or not"),
        Column("suspended", "How many suspended ones"),
    ),
    parameters=(
        Parameter("client_id", Kind.TEXT, "Only tokens of this client"),
        Parameter("subject", Kind.TEXT, "Only tokens on behalf of this subject"),
        Parameter("audience", Kind.TEXT, "Only tokens that are good there"),
        Parameter("most", Kind.NUMBER, "How many tokens to list", default=1000),
    ),
    sql=f"""
WITH candidates AS (
    SELECT * FROM events
    WHERE {UNEXPIRED}
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
        AND (CAST(%(subject)s AS text) IS NULL OR subject = %(subject)s)
        AND (
            CAST(%(audience)s AS text) IS NULL
            OR audience @> ARRAY[CAST(%(audience)s AS text)]
        )
),
{JUDGED},
counted AS (
    SELECT count(*) FILTER (WHERE state = 'live') AS live,
        count(*) FILTER (WHERE state = 'suspended') AS suspended
    FROM judged
)
SELECT jti, state, because, coalesce(detail->>'form', 'access_token') AS form, client_id, subject,
    actors, grant_type, scope, audience, session_id, family_id,
    detail->'confirmation'->>'method' AS confirmation, kid, occurred_at AS issued_at, expires_at,
    live, suspended
FROM judged CROSS JOIN counted
WHERE state IN ('live', 'suspended')
ORDER BY CASE WHEN state = 'live' THEN 0 ELSE 1 END, position DESC
LIMIT %(most)s
""",
)
