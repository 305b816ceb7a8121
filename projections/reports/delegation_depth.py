"""Report 9, delegation-depth: how far tokens were passed on, by whom, and across trust domains.

The depth of a token is how many words of others it stands on: its ancestors here, and one more
where the first of them was issued for another issuer's token (RFC 8693) or assertion (RFC 7523). A
chain is a token together with all that descends from it; it crosses a trust domain where it began
with another issuer's word. Whoever impersonates is not in the act chain (RFC 8693, Section 1.1), so
that there may be fewer actors than exchanges.

Bounds: the window is of what was recorded in `days` before the moment. `most` bounds the chains
that are listed, the deepest first; each by its deepest token, the first of these.
"""

from domain.client_configuration import JWT_BEARER, TOKEN_EXCHANGE
from projections.reports.report import Column, Kind, Parameter, Report

DELEGATION_DEPTH = Report(
    number=9,
    name="delegation-depth",
    title="Depth of delegation",
    question="How deep are the chains in which agents act for others, and which cross domains?",
    asked_by="EU AI Act Article 12",
    columns=(
        Column("section", "depth (one row each), then domain, then chain"),
        Column("name", "The depth, the other issuer, or the token that the chain began with"),
        Column("depth", "How many words of others lie behind the tokens; at most, of a domain"),
        Column("tokens", "How many tokens; of a chain, its exchanged tokens"),
        Column("chains", "How many chains they belong to"),
        Column("across", "How many of the tokens began with another issuer's word"),
        Column("impersonating", "How many of the tokens do not name the client that acts"),
        Column("clients", "How many clients they were issued to"),
        Column("subjects", "On behalf of how many subjects"),
        Column("first_at", "When the first was issued (UTC)"),
        Column("last_at", "When the last was issued (UTC)"),
        Column("deepest", "The first token of that depth, by its jti"),
        Column("subject", "On whose behalf that one is"),
        Column("actors", "Who acts in it, the present one first"),
        Column("domain", "Of a chain: the other issuer on whose word it began"),
    ),
    parameters=(
        Parameter("days", Kind.DAYS, "Recorded in the days before the moment", default=7),
        Parameter("subject", Kind.TEXT, "Only on behalf of this subject"),
        Parameter("most", Kind.NUMBER, "How many chains to list", default=20),
    ),
    sql=f"""
WITH known AS (
    -- A chain lasts for a day at most, and may have begun before the window.
    SELECT position, occurred_at, jti, client_id, subject, actors,
        recorded_at > %(moment)s - interval '1 day' * %(days)s AS within,
        detail->'descent'->'vouched'->>'issuer' AS issuer,
        coalesce(detail->'descent'->>'impersonation', 'false') = 'true' AS impersonation,
        detail->'descent'->'lineage' AS lineage
    FROM events
    WHERE topic = 'token.issued' AND grant_type IN ('{TOKEN_EXCHANGE}', '{JWT_BEARER}')
        AND recorded_at > %(moment)s - interval '1 day' * (%(days)s + 2)
        AND (CAST(%(subject)s AS text) IS NULL OR subject = %(subject)s)
        AND (detail->'descent') IS NOT NULL
),
delegated AS (
    SELECT position, occurred_at, jti, client_id, subject, actors, impersonation,
        coalesce(lineage->>0, CAST(jti AS text)) AS root,
        jsonb_array_length(lineage) AS ancestors
    FROM known
    WHERE within
),
begun AS (
    SELECT CAST(jti AS text) AS root, issuer FROM known WHERE issuer IS NOT NULL
),
placed AS (
    SELECT delegated.*, begun.issuer,
        CAST(
            ancestors + CASE WHEN begun.issuer IS NULL THEN 0 ELSE 1 END AS bigint
        ) AS depth
    FROM delegated LEFT JOIN begun ON begun.root = delegated.root
),
deep AS (
    SELECT root FROM placed
    GROUP BY root ORDER BY max(depth) DESC, min(position) LIMIT %(most)s
),
grouped AS (
    SELECT 1 AS part, 'depth' AS section, CAST(depth AS text) AS name, placed.* FROM placed
    UNION ALL
    SELECT 2, 'domain', issuer, placed.* FROM placed WHERE issuer IS NOT NULL
    UNION ALL
    SELECT 3, 'chain', placed.root, placed.* FROM placed JOIN deep ON deep.root = placed.root
),
counted AS (
    SELECT part, section, name, max(depth) AS depth, count(*) AS tokens,
        count(DISTINCT root) AS chains, count(issuer) AS across,
        count(*) FILTER (WHERE impersonation) AS impersonating,
        count(DISTINCT client_id) AS clients, count(DISTINCT subject) AS subjects,
        min(occurred_at) AS first_at, max(occurred_at) AS last_at, min(position) AS position
    FROM grouped
    GROUP BY part, section, name
),
deepest AS (
    SELECT DISTINCT ON (part, name) part, name, jti, subject, actors, issuer
    FROM grouped
    ORDER BY part, name, depth DESC, position
)
SELECT counted.section, counted.name, depth, tokens, chains, across, impersonating, clients,
    subjects, first_at, last_at, deepest.jti AS deepest, deepest.subject, deepest.actors,
    CASE WHEN counted.part = 3 THEN deepest.issuer END AS domain
FROM counted JOIN deepest ON deepest.part = counted.part AND deepest.name = counted.name
ORDER BY counted.part, depth DESC, counted.position
""",
)
