"""Report 5, weak-authentication: what a thief of a secret or of a token could use as it is.

A shared secret travels with each request and is in two places; a token that is bound to no key is
good in anybody's hands (RFC 9700, Section 2.2.1); a public client proves nothing at all.
"""

from projections.reports.client_state import CLIENT_EVENTS, CLIENT_SECRETS, CLIENT_STATE
from projections.reports.report import Column, Kind, Parameter, Report

WEAK_AUTHENTICATION = Report(
    number=5,
    name="weak-authentication",
    title="Weak authentication",
    question="Which clients rely on shared secrets, on nothing, or on tokens that anybody can use?",
    asked_by="PCI DSS 8.6",
    columns=(
        Column("client_id", "The client"),
        Column("owner", "The principal whose authority bounds it, if any"),
        Column("client_type", "confidential or public"),
        Column("authentication", "How it proves who it is; empty: by a secret, either way"),
        Column("shared_secret", "Whether a secret authenticates it"),
        Column("secrets", "How many do at that moment"),
        Column("public", "Whether it proves nothing"),
        Column("bearer_tokens", "Whether it may be issued tokens that are bound to no key"),
        Column("bearer_issued", "Tokens bound to no key that it was issued in the days before"),
        Column("bound_issued", "Tokens bound to a key that it was issued in the days before"),
    ),
    parameters=(Parameter("days", Kind.DAYS, "Count tokens of so many days", default=30),),
    sql=f"""
WITH {CLIENT_EVENTS}, {CLIENT_STATE}, {CLIENT_SECRETS},
usable AS (
    SELECT client_id, count(*) AS secrets FROM client_secrets
    WHERE usable_until IS NULL OR usable_until > %(moment)s
    GROUP BY client_id
),
issued AS (
    SELECT client_id,
        count(*) FILTER (WHERE ((detail -> 'confirmation') IS NULL)) AS bearer,
        count(*) FILTER (WHERE ((detail -> 'confirmation') IS NOT NULL)) AS bound
    FROM events
    WHERE topic = 'token.issued'
        AND recorded_at > CAST(%(moment)s AS timestamptz) - interval '1 day' * %(days)s
    GROUP BY client_id
),
judged AS (
    SELECT state.client_id, owner, client_type, (authentication ->> 'method') AS method,
        coalesce(usable.secrets, 0) AS secrets, client_type = 'public' AS public,
        NOT (coalesce((tokens ->> 'dpop_bound'), 'false') = 'true'
            OR coalesce((tokens ->> 'certificate_bound'), 'false') = 'true') AS bearer_tokens
    FROM client_state AS state LEFT JOIN usable ON usable.client_id = state.client_id
    WHERE enabled
),
found AS (
    SELECT judged.*, client_type = 'confidential'
        AND coalesce(method, 'client_secret_basic') IN ('client_secret_basic', 'client_secret_post')
        AS shared_secret
    FROM judged
)
SELECT found.client_id, owner, client_type, method AS authentication, shared_secret, secrets,
    public, bearer_tokens, coalesce(issued.bearer, 0) AS bearer_issued,
    coalesce(issued.bound, 0) AS bound_issued
FROM found LEFT JOIN issued ON issued.client_id = found.client_id
WHERE shared_secret OR public OR bearer_tokens
ORDER BY found.client_id COLLATE "C"
""",
)
