"""Report 22, blast-radius: all that a leaked secret, key, client or family could have touched.

`leaked` is recognised by itself: a family, a client, a signing key, a secret of a client, or any
other credential that tokens were issued on (the key of a private_key_jwt, the thumbprint of a
certificate). What was issued with it while it counted as leaked is touched `itself`; every later
token of the same family, by `family`; and what was exchanged from either, to any depth, by
`exchange`: each token names all its ancestors.

Whether a token still works is what introspection would say (projections.reports.liveness).

Bounds: `since` and `until` bound the use of what leaked, not what came of it. `most` bounds the
rows of each section, those with most living tokens first; the counts are of all. Who holds a
signing key can make tokens that nobody recorded: those are in no log.
"""

from domain.client_configuration import TOKEN_EXCHANGE
from projections.reports.liveness import JUDGED
from projections.reports.report import Column, Kind, Parameter, Report

BLAST_RADIUS = Report(
    number=22,
    name="blast-radius",
    title="Blast radius",
    question=(
        "What could a leaked secret, signing key, client or family have touched, and what of it"
        " still works?"
    ),
    asked_by="Incident response",
    columns=(
        Column(
            "section",
            "leaked and total (one row each), then client, subject, family, session, grant_type,"
            " scope, audience, act (an administrative act of a client that is touched), token",
        ),
        Column("name", "What the row is about; a token by its jti"),
        Column("tokens", "How many tokens; of acts, how often"),
        Column("live", "How many of the tokens still work"),
        Column("first_at", "When the first was issued, or the act first done (UTC)"),
        Column("last_at", "When the last was issued, or the act last done (UTC)"),
        Column("last_expires_at", "When the last of them to expire does (UTC)"),
        Column("via", "Of a token: itself, family or exchange"),
        Column("depth", "Of a token: how many exchanges lie behind it"),
        Column(
            "state",
            "Of a token: live, suspended (what stands behind it does not stand), expired, revoked,"
            " or void with an ancestor",
        ),
        Column("client_id", "Of a token: to whom it was issued"),
        Column("subject", "Of a token: on whose behalf"),
        Column("scope", "Of a token: its scopes, in descending level"),
        Column("audience", "Of a token: where it is good"),
    ),
    parameters=(
        Parameter(
            "leaked", Kind.TEXT, "A secret_id, kid, client_id, family_id or credential", True
        ),
        Parameter("since", Kind.MOMENT, "From when it counts as leaked"),
        Parameter("until", Kind.MOMENT, "Until when it counts as leaked"),
        Parameter("most", Kind.NUMBER, "How many rows a section may have", default=1000),
    ),
    sql=f"""
WITH recognised AS (
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM events WHERE family_id = %(leaked)s) THEN 'family'
        WHEN EXISTS (
            SELECT 1 FROM events WHERE topic = 'client.registered' AND topic <> 'token.issued'
                AND client_id = %(leaked)s
        ) THEN 'client'
        WHEN EXISTS (
            SELECT 1 FROM events WHERE topic = 'key.generated' AND topic <> 'token.issued'
                AND kid = %(leaked)s
        ) THEN 'key'
        WHEN EXISTS (
            SELECT 1 FROM events WHERE topic = 'client.secret_added' AND topic <> 'token.issued'
                AND detail->>'secret_id' = %(leaked)s
        ) THEN 'secret'
        WHEN EXISTS (SELECT 1 FROM events WHERE topic = 'token.issued' AND kid = %(leaked)s)
        THEN 'key'
        ELSE 'credential'
    END AS kind
),
-- One branch for each kind, so that each finds its own index; the others are not run.
used AS (
    SELECT position FROM events
    WHERE topic = 'token.issued' AND family_id = %(leaked)s
    UNION
    SELECT position FROM events
    WHERE topic = 'token.issued' AND client_id = %(leaked)s
        AND (SELECT kind FROM recognised) = 'client'
    UNION
    SELECT position FROM events
    WHERE topic = 'token.issued' AND kid = %(leaked)s AND (SELECT kind FROM recognised) = 'key'
    UNION
    SELECT position FROM events
    WHERE topic = 'token.issued' AND detail->>'credential_id' = %(leaked)s
        AND (SELECT kind FROM recognised) = 'secret'
        AND client_id IN (
            SELECT client_id FROM events
            WHERE topic = 'client.secret_added' AND topic <> 'token.issued'
                AND detail->>'secret_id' = %(leaked)s
        )
    UNION
    SELECT position FROM events
    WHERE topic = 'token.issued' AND detail->>'credential_id' = %(leaked)s
        AND (SELECT kind FROM recognised) = 'credential'
),
direct AS (
    SELECT e.* FROM events AS e JOIN used ON used.position = e.position
    WHERE (CAST(%(since)s AS timestamptz) IS NULL OR e.recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR e.recorded_at < %(until)s)
),
begun AS (
    SELECT family_id, min(position) AS position
    FROM direct
    WHERE family_id IS NOT NULL
    GROUP BY family_id
),
base AS (
    SELECT direct.*, 'itself' AS via FROM direct
    UNION ALL
    SELECT e.*, 'family'
    FROM events AS e JOIN begun ON begun.family_id = e.family_id AND e.position > begun.position
    WHERE e.topic = 'token.issued'
        AND NOT EXISTS (SELECT 1 FROM direct WHERE direct.position = e.position)
),
exchanged AS (
    SELECT position, jsonb_array_elements_text(detail->'descent'->'lineage') AS ancestor
    FROM events
    WHERE topic = 'token.issued' AND position > (SELECT min(position) FROM base)
        AND grant_type = '{TOKEN_EXCHANGE}'
),
descended AS (
    SELECT DISTINCT exchanged.position
    FROM exchanged JOIN base ON CAST(base.jti AS text) = exchanged.ancestor
    WHERE NOT EXISTS (SELECT 1 FROM base AS known WHERE known.position = exchanged.position)
),
candidates AS (
    SELECT * FROM base
    UNION ALL
    SELECT e.*, 'exchange' FROM events AS e JOIN descended ON descended.position = e.position
),
{JUDGED},
tokens AS (
    SELECT judged.*, coalesce(jsonb_array_length(detail->'descent'->'lineage'), 0) AS depth
    FROM judged
),
named AS (
    SELECT 1 AS rank, 'leaked' AS section, (SELECT kind FROM recognised) AS name, state,
        occurred_at, expires_at
    FROM tokens WHERE via = 'itself'
    UNION ALL
    SELECT 2, 'total', 'tokens', state, occurred_at, expires_at FROM tokens
    UNION ALL
    SELECT 3, 'client', client_id, state, occurred_at, expires_at FROM tokens
    UNION ALL
    SELECT 4, 'subject', subject, state, occurred_at, expires_at FROM tokens
    UNION ALL
    SELECT 5, 'family', family_id, state, occurred_at, expires_at
    FROM tokens WHERE family_id IS NOT NULL
    UNION ALL
    SELECT 6, 'session', session_id, state, occurred_at, expires_at FROM tokens
    UNION ALL
    SELECT 7, 'grant_type', grant_type, state, occurred_at, expires_at FROM tokens
    UNION ALL
    SELECT 8, 'scope', unnest(scope), state, occurred_at, expires_at FROM tokens
    UNION ALL
    SELECT 9, 'audience', unnest(audience), state, occurred_at, expires_at FROM tokens
),
counted AS (
    SELECT rank, section, name, count(*) AS tokens,
        count(*) FILTER (WHERE state = 'live') AS live, min(occurred_at) AS first_at,
        max(occurred_at) AS last_at, max(expires_at) AS last_expires_at
    FROM named
    GROUP BY rank, section, name
    UNION ALL
    SELECT 10, 'act', topic, count(*), NULL, min(occurred_at), max(occurred_at), NULL
    FROM events
    WHERE actor IN (SELECT client_id FROM direct)
        AND (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
    GROUP BY topic
),
placed AS (
    SELECT counted.*, CAST(NULL AS text) AS via, CAST(NULL AS bigint) AS depth,
        CAST(NULL AS text) AS state, CAST(NULL AS text) AS client_id,
        CAST(NULL AS text) AS subject, CAST(NULL AS text[]) AS scope,
        CAST(NULL AS text[]) AS audience,
        row_number() OVER (
            PARTITION BY rank ORDER BY coalesce(live, 0) DESC, tokens DESC, name COLLATE "C"
        ) AS place
    FROM counted
    UNION ALL
    SELECT 11, 'token', CAST(jti AS text), 1, CASE WHEN state = 'live' THEN 1 ELSE 0 END,
        occurred_at, occurred_at, expires_at, via, depth, state, client_id, subject, scope,
        audience,
        row_number() OVER (ORDER BY CASE WHEN state = 'live' THEN 0 ELSE 1 END, position)
    FROM tokens
)
SELECT section, name, tokens, live, first_at, last_at, last_expires_at, via, depth, state,
    client_id, subject, scope, audience
FROM placed
WHERE place <= %(most)s
ORDER BY rank, place
""",  # constants of ours
)
