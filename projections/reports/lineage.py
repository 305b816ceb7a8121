"""Report 10, lineage: the complete history of a token, of its ancestors, and of its descendants.

One row an event that names one of these tokens: its issuing, what the family, code or session it
came from says about it, its revocation, each with the request and the credential that it rests on
(NIST AU-10). The state is of the moment asked for.

Descendants are looked for in the session of the token: what is exchanged stays in the session of
the token presented (application.subject_tokens), and names all its ancestors.
"""

from projections.reports.liveness import JUDGED
from projections.reports.report import Column, Kind, Parameter, Report

LINEAGE = Report(
    number=10,
    name="lineage",
    title="Lineage of a token",
    question="From what did this token come, what came of it, and what happened to each of these?",
    asked_by="NIST SP 800-53 AU-10",
    columns=(
        Column("position", "Where in the log the event is"),
        Column("occurred_at", "When it happened (UTC)"),
        Column("topic", "What happened"),
        Column("jti", "To which token"),
        Column("relation", "ancestor, asked (the one asked for) or descendant"),
        Column("depth", "How many tokens of ours this one descends from"),
        Column("parent", "What it was exchanged from; nothing for the first"),
        Column("state", "live, expired, revoked, void with an ancestor, or suspended"),
        Column("client_id", "The client of the event"),
        Column("subject", "On whose behalf"),
        Column("actors", "Who acts for the subject, the present one first"),
        Column("vouched_by", "The trusted issuer on whose word the token was issued"),
        Column("scope", "What it allowed"),
        Column("audience", "Whom it could be shown to"),
        Column("expires_at", "When it expires (UTC)"),
        Column("acted_by", "Who did it, where the event says so"),
        Column("reason", "For what reason"),
        Column("authentication_method", "How the client proved who it is"),
        Column("credential_id", "By which credential"),
        Column("kid", "The key that signed"),
        Column("request_id", "The request, as in the response and the logs"),
    ),
    parameters=(Parameter("jti", Kind.UUID, "The token", True),),
    sql=f"""
WITH asked AS (
    SELECT position, session_id, detail FROM events
    WHERE topic = 'token.issued' AND jti = %(jti)s
),
above AS (
    SELECT jsonb_array_elements_text(detail->'descent'->'lineage') AS jti FROM asked
),
exchanged AS (
    SELECT events.position,
        jsonb_array_elements_text(events.detail->'descent'->'lineage') AS ancestor
    FROM events JOIN asked
        ON events.session_id = asked.session_id AND events.position > asked.position
    WHERE events.topic = 'token.issued'
),
members AS (
    SELECT position, 'asked' AS relation FROM asked
    UNION ALL
    SELECT events.position, 'ancestor'
    FROM events JOIN above ON events.jti = CAST(above.jti AS uuid)
    WHERE events.topic = 'token.issued'
    UNION ALL
    SELECT DISTINCT position, 'descendant'
    FROM exchanged
    WHERE ancestor = CAST(%(jti)s AS text)
),
candidates AS (
    SELECT events.*, members.relation
    FROM events JOIN members ON members.position = events.position
),
{JUDGED},
tree AS (
    SELECT jti, relation, state, detail->'descent'->'lineage' AS lineage,
        CAST(coalesce(jsonb_array_length(detail->'descent'->'lineage'), 0) AS bigint) AS depth
    FROM judged
)
SELECT events.position, events.occurred_at, events.topic, events.jti, tree.relation, tree.depth,
    CAST((tree.lineage->>-1) AS uuid) AS parent, tree.state, events.client_id, events.subject,
    events.actors, events.detail->'descent'->'vouched'->>'issuer' AS vouched_by, events.scope,
    events.audience, events.expires_at, events.actor AS acted_by, events.reason,
    events.detail->>'authentication_method' AS authentication_method,
    events.detail->>'credential_id' AS credential_id, events.kid, events.request_id
FROM events JOIN tree ON tree.jti = events.jti
ORDER BY events.position
""",
)
