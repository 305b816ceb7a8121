"""Report 21, signing-keys: how long each key was valid, by whose word, and what it signed.

A kid that signed and was never generated here stands in the answer as `unknown`: a token that this
service cannot account for. `outside` counts tokens signed before the key was activated or after it
was retired or revoked; processes learn of a change within a second, so that a few just after one
are usual.
"""

from projections.reports.report import Column, Report

SIGNING_KEYS = Report(
    number=21,
    name="signing-keys",
    title="Signing keys",
    question="Which keys signed tokens, in which period, by whose word, and how many tokens?",
    asked_by="NIST SP 800-53 IA-5, SC-12",
    columns=(
        Column("kid", "The key, by its RFC 7638 thumbprint"),
        Column("algorithm", "The algorithm it signs with"),
        Column("state", "generated, active, retired (verifies on), ended, revoked or unknown"),
        Column("generated_at", "When it was generated and published (UTC)"),
        Column("generated_by", "Who generated it"),
        Column("activated_at", "Since when it signs (UTC)"),
        Column("activated_by", "Who activated it"),
        Column("retired_at", "Since when it signs no more (UTC)"),
        Column("retired_by", "Who retired it"),
        Column("revoked_at", "Since when it vouches for nothing (UTC)"),
        Column("revoked_by", "Who revoked it"),
        Column("verify_until", "Until when what it signed verifies (UTC)"),
        Column("tokens", "How many tokens it signed"),
        Column("outside", "Tokens it signed before it was activated or after it was retired"),
        Column("first_token_at", "When the first of them was issued (UTC)"),
        Column("last_token_at", "When the last of them was issued (UTC)"),
        Column("last_token_expires_at", "When the last of them to expire does (UTC)"),
    ),
    sql="""
WITH told AS (
    SELECT kid, min(detail->>'algorithm') AS algorithm,
        min(occurred_at) FILTER (WHERE topic = 'key.generated') AS generated_at,
        min(actor) FILTER (WHERE topic = 'key.generated') AS generated_by,
        min(occurred_at) FILTER (WHERE topic = 'key.activated') AS activated_at,
        min(actor) FILTER (WHERE topic = 'key.activated') AS activated_by,
        min(occurred_at) FILTER (WHERE topic = 'key.retired') AS retired_at,
        min(actor) FILTER (WHERE topic = 'key.retired') AS retired_by,
        min(occurred_at) FILTER (WHERE topic = 'key.revoked') AS revoked_at,
        min(actor) FILTER (WHERE topic = 'key.revoked') AS revoked_by,
        min(CAST(detail->>'verify_until' AS timestamptz)) AS verify_until
    FROM events
    WHERE topic IN ('key.generated', 'key.activated', 'key.retired', 'key.revoked')
        AND topic <> 'token.issued'
    GROUP BY kid
),
signed AS (
    SELECT e.kid, min(e.detail->>'algorithm') AS algorithm, count(*) AS tokens,
        count(*) FILTER (
            WHERE e.occurred_at < told.activated_at OR e.occurred_at > told.retired_at
                OR e.occurred_at > told.revoked_at
        ) AS outside,
        min(e.occurred_at) AS first_token_at, max(e.occurred_at) AS last_token_at,
        max(e.expires_at) AS last_token_expires_at
    FROM events AS e LEFT JOIN told ON told.kid = e.kid
    WHERE e.topic = 'token.issued' AND e.kid IS NOT NULL
    GROUP BY e.kid
)
SELECT coalesce(told.kid, signed.kid) AS kid,
    coalesce(told.algorithm, signed.algorithm) AS algorithm,
    CASE
        WHEN told.kid IS NULL THEN 'unknown'
        WHEN revoked_at IS NOT NULL THEN 'revoked'
        WHEN verify_until <= %(moment)s THEN 'ended'
        WHEN retired_at IS NOT NULL THEN 'retired'
        WHEN activated_at IS NOT NULL THEN 'active'
        ELSE 'generated'
    END AS state,
    generated_at, generated_by, activated_at, activated_by, retired_at, retired_by, revoked_at,
    revoked_by, verify_until, coalesce(tokens, 0) AS tokens, coalesce(outside, 0) AS outside,
    first_token_at, last_token_at, last_token_expires_at
FROM told FULL JOIN signed ON signed.kid = told.kid
ORDER BY coalesce(generated_at, first_token_at), coalesce(told.kid, signed.kid) COLLATE "C"
""",
)
