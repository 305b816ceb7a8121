"""Report 17, revocation-latency: from the detection of something to its recorded revocation.

An act is what one request did at one moment: a reuse and the tokens it cost, a session with its
families and tokens. It was detected when the request came (`occurred_at`, the clock of the process)
and is revoked once its last event is recorded (`recorded_at`, the clock of the database), from when
on introspection refuses. The clocks may differ: report 20 says by how much. A disabled client, a
deactivated person and a removed issuer end no token, they suspend all of theirs at once; other
replicas learn of it within a second. When people noticed what they then revoked is in no log.

The percentiles are of nearest rank: the p-th of n is the ceil(p * n / 100)-th smallest.

Bounds: `most` bounds the acts that are listed, the slowest first; summaries are of all.
"""

from projections.reports.report import Column, Kind, Parameter, Report

REVOCATION_LATENCY = Report(
    number=17,
    name="revocation-latency",
    title="Latency of revocations",
    question="How long did it take from detection until a revocation was recorded?",
    asked_by="Incident response, SOC 2 CC7.4",
    columns=(
        Column("section", "summary (one row a kind of act), then act"),
        Column(
            "kind",
            "reuse detected, code replayed, session ended, family revoked, token revoked, client"
            " disabled, principal deactivated or issuer removed",
        ),
        Column("acts", "How many acts"),
        Column("tokens", "How many tokens were revoked"),
        Column("unrecorded", "Tokens that were to be revoked, of which no record says so"),
        Column("median_seconds", "Half of the acts took at most so long"),
        Column("p95_seconds", "95 in 100 of the acts took at most so long"),
        Column("worst_seconds", "The slowest act; of an act, how long it took"),
        Column("position", "Of an act: where its first event is in the log"),
        Column("detected_at", "Of an act: when its request came (UTC)"),
        Column("recorded_at", "Of an act: when its last event was recorded (UTC)"),
        Column("client_id", "Of an act: the client"),
        Column("subject", "Of an act: the subject"),
        Column("acted_by", "Of an act: who did it, where its events say so"),
        Column("reason", "Of an act: for what reason, where its events say so"),
        Column("request_id", "Of an act: the request, as in the response and the logs"),
    ),
    parameters=(
        Parameter("since", Kind.MOMENT, "Only what was recorded from then on"),
        Parameter("until", Kind.MOMENT, "Only what was recorded before"),
        Parameter("most", Kind.NUMBER, "How many acts to list", default=100),
    ),
    sql="""
WITH ends AS (
    SELECT *,
        CASE topic
            WHEN 'family.reuse_detected' THEN 1
            WHEN 'code.replayed' THEN 2
            WHEN 'session.ended' THEN 3
            WHEN 'family.revoked' THEN 4
            WHEN 'token.revoked' THEN 5
            WHEN 'client.disabled' THEN 6
            WHEN 'principal.deactivated' THEN 7
            ELSE 8
        END AS rank
    FROM events
    WHERE topic IN (
            'family.reuse_detected', 'code.replayed', 'session.ended', 'family.revoked',
            'token.revoked', 'client.disabled', 'principal.deactivated', 'issuer.removed'
        )
        AND topic <> 'token.issued'
        AND (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
),
named AS (
    SELECT request_id, occurred_at, jsonb_array_elements_text(detail->'tokens_revoked') AS jti
    FROM ends
    WHERE topic IN ('family.reuse_detected', 'family.revoked')
),
-- Whoever revoked it: a token that somebody had revoked before is not revoked once more.
recorded AS (
    SELECT DISTINCT CAST(jti AS text) AS jti FROM events
    WHERE topic = 'token.revoked' AND topic <> 'token.issued'
),
unrecorded AS (
    SELECT named.request_id, named.occurred_at, count(DISTINCT named.jti) AS tokens
    FROM named LEFT JOIN recorded ON recorded.jti = named.jti
    WHERE recorded.jti IS NULL
    GROUP BY named.request_id, named.occurred_at
),
grouped AS (
    SELECT request_id, occurred_at, min(rank) AS rank, min(position) AS position,
        max(recorded_at) AS recorded_at,
        count(DISTINCT CASE WHEN topic = 'token.revoked' THEN jti END) AS tokens,
        min(client_id COLLATE "C") AS client_id, min(subject COLLATE "C") AS subject,
        min(actor COLLATE "C") AS acted_by, min(reason COLLATE "C") AS reason
    FROM ends
    GROUP BY request_id, occurred_at
),
acts AS (
    SELECT grouped.*, coalesce(unrecorded.tokens, 0) AS unrecorded,
        CASE rank
            WHEN 1 THEN 'reuse detected'
            WHEN 2 THEN 'code replayed'
            WHEN 3 THEN 'session ended'
            WHEN 4 THEN 'family revoked'
            WHEN 5 THEN 'token revoked'
            WHEN 6 THEN 'client disabled'
            WHEN 7 THEN 'principal deactivated'
            ELSE 'issuer removed'
        END AS kind,
        CAST(
            extract(epoch FROM grouped.recorded_at - grouped.occurred_at) AS double precision
        ) AS seconds
    FROM grouped LEFT JOIN unrecorded
        ON unrecorded.request_id = grouped.request_id
        AND unrecorded.occurred_at = grouped.occurred_at
),
ranked AS (
    SELECT acts.*, count(*) OVER (PARTITION BY rank) AS of_kind,
        row_number() OVER (PARTITION BY rank ORDER BY seconds, position) AS place
    FROM acts
),
slowest AS (
    SELECT * FROM acts ORDER BY seconds DESC, position LIMIT %(most)s
),
answer AS (
    SELECT 1 AS part, rank, 'summary' AS section, kind, count(*) AS acts,
        CAST(sum(tokens) AS bigint) AS tokens, CAST(sum(unrecorded) AS bigint) AS unrecorded,
        min(seconds) FILTER (WHERE place >= of_kind * 50 / 100.0) AS median_seconds,
        min(seconds) FILTER (WHERE place >= of_kind * 95 / 100.0) AS p95_seconds,
        max(seconds) AS worst_seconds, CAST(NULL AS bigint) AS position,
        CAST(NULL AS timestamptz) AS detected_at, CAST(NULL AS timestamptz) AS recorded_at,
        CAST(NULL AS text) AS client_id, CAST(NULL AS text) AS subject,
        CAST(NULL AS text) AS acted_by, CAST(NULL AS text) AS reason,
        CAST(NULL AS text) AS request_id
    FROM ranked
    GROUP BY rank, kind
    UNION ALL
    SELECT 2, 0, 'act', kind, 1, tokens, unrecorded, NULL, NULL, seconds, position, occurred_at,
        recorded_at, client_id, subject, acted_by, reason, request_id
    FROM slowest
)
SELECT section, kind, acts, tokens, unrecorded, median_seconds, p95_seconds, worst_seconds,
    position, detected_at, recorded_at, client_id, subject, acted_by, reason, request_id
FROM answer
ORDER BY part, rank, worst_seconds DESC, position
""",
)
