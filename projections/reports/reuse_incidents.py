"""Report 16, reuse-incidents: a retired refresh token came back, so somebody holds a copy.

Who had the copy may have used it since the token was issued (`exposed_at`): the tokens of the
family from then on, and all that was exchanged from them, are what an incident could have touched.
Report 22 tells the rest of it, for the family. A used authorization code that came again is
`code.replayed` and stands in report 17.

Descendants are looked for in the session of the family: what is exchanged stays in the session of
the token presented (application.subject_tokens).
"""

from domain.client_configuration import TOKEN_EXCHANGE
from projections.reports.liveness import JUDGED
from projections.reports.report import Column, Kind, Parameter, Report

REUSE_INCIDENTS = Report(
    number=16,
    name="reuse-incidents",
    title="Reuse of refresh tokens",
    question="Which refresh tokens were used by two parties, what was revoked, what was exposed?",
    asked_by="SOC 2 CC7.3, CC7.4",
    columns=(
        Column("position", "Where in the log the reuse is"),
        Column("detected_at", "When the retired token was presented (UTC)"),
        Column("family_id", "The family, void since"),
        Column("client_id", "Whose it was"),
        Column("subject", "On whose behalf"),
        Column("session_id", "Under which session"),
        Column("address", "From where, a pseudonym unless settings keep addresses"),
        Column("presented", "Which generation came"),
        Column("generation", "Which one was current"),
        Column("started_at", "When the family began (UTC)"),
        Column("exposed_at", "Since when there may have been a copy: the token was issued (UTC)"),
        Column("retired_at", "When the token was replaced (UTC); nothing if never issued"),
        Column("exposed", "Access tokens of the family issued from exposed_at on"),
        Column("exchanged", "Tokens that were exchanged from these, to any depth"),
        Column("revoked", "How many of both were revoked, or are void with an ancestor"),
        Column("working", "How many of both still worked at the moment asked for"),
        Column("unrecorded", "Tokens the detection says it revoked, of which no record says so"),
        Column("last_expires_at", "When the last of both to expire does (UTC)"),
        Column("audience", "Where they are good"),
    ),
    parameters=(
        Parameter("client_id", Kind.TEXT, "Only families of this client"),
        Parameter("subject", Kind.TEXT, "Only families on behalf of this subject"),
        Parameter("since", Kind.MOMENT, "Only what was recorded from then on"),
        Parameter("until", Kind.MOMENT, "Only what was recorded before"),
    ),
    sql=f"""
WITH incidents AS (
    SELECT position AS incident, occurred_at, family_id, client_id, subject, session_id, address,
        CAST(detail->>'presented' AS bigint) AS presented,
        CAST(detail->>'generation' AS bigint) AS generation,
        detail->'tokens_revoked' AS named
    FROM events
    WHERE topic = 'family.reuse_detected' AND topic <> 'token.issued'
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
        AND (CAST(%(subject)s AS text) IS NULL OR subject = %(subject)s)
        AND (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
),
rotations AS (
    SELECT incidents.incident,
        min(e.occurred_at) FILTER (WHERE e.topic = 'family.started') AS started_at,
        min(e.occurred_at) FILTER (
            WHERE CAST(e.detail->>'generation' AS bigint) = incidents.presented
        ) AS exposed_at,
        min(e.occurred_at) FILTER (
            WHERE CAST(e.detail->>'generation' AS bigint) = incidents.presented + 1
        ) AS retired_at
    FROM incidents JOIN events AS e ON e.family_id = incidents.family_id
    WHERE e.topic IN ('family.started', 'family.rotated')
    GROUP BY incidents.incident
),
of_family AS (
    SELECT e.*, incidents.incident, 'family' AS via
    FROM incidents
    JOIN rotations ON rotations.incident = incidents.incident
    JOIN events AS e ON e.family_id = incidents.family_id
    WHERE e.topic = 'token.issued'
        AND e.occurred_at >= coalesce(rotations.exposed_at, rotations.started_at)
),
descents AS (
    SELECT incidents.incident, e.position,
        jsonb_array_elements_text(e.detail->'descent'->'lineage') AS ancestor
    FROM incidents JOIN events AS e ON e.session_id = incidents.session_id
    WHERE e.topic = 'token.issued' AND e.grant_type = '{TOKEN_EXCHANGE}'
),
descended AS (
    SELECT DISTINCT descents.incident, descents.position
    FROM descents JOIN of_family
        ON of_family.incident = descents.incident
        AND CAST(of_family.jti AS text) = descents.ancestor
),
candidates AS (
    SELECT * FROM of_family
    UNION ALL
    SELECT e.*, descended.incident, 'exchange' AS via
    FROM events AS e JOIN descended ON descended.position = e.position
),
{JUDGED},
touched AS (
    SELECT incident,
        count(*) FILTER (WHERE via = 'family') AS exposed,
        count(*) FILTER (WHERE via = 'exchange') AS exchanged,
        count(*) FILTER (WHERE state IN ('revoked', 'void')) AS revoked,
        count(*) FILTER (WHERE state = 'live') AS working,
        max(expires_at) AS last_expires_at
    FROM judged
    GROUP BY incident
),
targets AS (
    SELECT incident, array_agg(name ORDER BY name COLLATE "C") AS audience
    FROM (SELECT DISTINCT incident, unnest(audience) AS name FROM judged) AS target
    GROUP BY incident
),
named AS (
    SELECT incident, jsonb_array_elements_text(named) AS jti FROM incidents
),
unrecorded AS (
    SELECT named.incident, count(*) AS tokens
    FROM named LEFT JOIN revoked ON CAST(revoked.jti AS text) = named.jti
    WHERE revoked.jti IS NULL
    GROUP BY named.incident
)
SELECT incidents.incident AS position, incidents.occurred_at AS detected_at, family_id, client_id,
    subject, session_id, address, presented, generation, started_at, exposed_at, retired_at,
    coalesce(exposed, 0) AS exposed, coalesce(exchanged, 0) AS exchanged,
    coalesce(revoked, 0) AS revoked, coalesce(working, 0) AS working,
    coalesce(unrecorded.tokens, 0) AS unrecorded, last_expires_at, audience
FROM incidents
LEFT JOIN rotations ON rotations.incident = incidents.incident
LEFT JOIN touched ON touched.incident = incidents.incident
LEFT JOIN targets ON targets.incident = incidents.incident
LEFT JOIN unrecorded ON unrecorded.incident = incidents.incident
ORDER BY incidents.incident
""",
)
