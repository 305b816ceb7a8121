"""Report 7, subject-access: every token about a person or an agent, as GDPR Article 15 asks.

Somebody is touched by a token whose subject it is, and by one in whose act chain it stands
(RFC 8693, Section 4.1), at whatever depth. Another issuer's actor is named "subject @ issuer".
To whom the token went, and what for, is its client, audience and scope. Every such token is listed:
an answer about a person leaves nothing out.
"""

from projections.reports.liveness import JUDGED
from projections.reports.report import Column, Kind, Parameter, Report

SUBJECT_ACCESS = Report(
    number=7,
    name="subject-access",
    title="Subject access",
    question="Which tokens were about this subject, or had it act, who got them, and what for?",
    asked_by="GDPR Article 15",
    columns=(
        Column("position", "Where in the log the token was issued"),
        Column("issued_at", "When it was issued (UTC)"),
        Column("jti", "The token"),
        Column("part", "What the one asked about is to the token: subject, actor or both"),
        Column("place", "As an actor: 1 who acts, 2 for whom that one acts, and so on"),
        Column("subject", "On whose behalf the token is"),
        Column("actors", "Who acts for the subject, the present one first"),
        Column("client_id", "Who got it"),
        Column("audience", "Whom it could be shown to"),
        Column("scope", "What it allowed"),
        Column("grant_type", "By which grant type"),
        Column("session_id", "Under which session"),
        Column("address", "From which address, a pseudonym unless settings keep addresses"),
        Column("expires_at", "When it expires (UTC)"),
        Column("state", "live, expired, revoked, void with an ancestor, or suspended"),
        Column("ended_at", "When it was revoked (UTC)"),
        Column("ended_by", "Who revoked it"),
        Column("ended_why", "For what reason"),
    ),
    parameters=(
        Parameter("subject", Kind.TEXT, "A person, client or agent, as tokens name it", True),
        Parameter("since", Kind.MOMENT, "Only tokens recorded from then on"),
        Parameter("until", Kind.MOMENT, "Only tokens recorded before"),
    ),
    sql=f"""
WITH touching AS (
    -- One branch for each index.
    SELECT position FROM events
    WHERE topic = 'token.issued' AND subject = %(subject)s
    UNION
    SELECT position FROM events
    WHERE topic = 'token.issued' AND actors IS NOT NULL
        AND actors @> ARRAY[CAST(%(subject)s AS text)]
),
candidates AS (
    SELECT events.* FROM events JOIN touching ON touching.position = events.position
    WHERE (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
),
{JUDGED},
placed AS (
    SELECT judged.*,
        CAST(array_position(actors, CAST(%(subject)s AS text)) AS bigint) AS place
    FROM judged
)
SELECT placed.position, placed.occurred_at AS issued_at, placed.jti,
    CASE
        WHEN placed.subject <> %(subject)s THEN 'actor'
        WHEN place IS NOT NULL THEN 'both'
        ELSE 'subject'
    END AS part,
    place, placed.subject, placed.actors, placed.client_id, placed.audience, placed.scope,
    placed.grant_type, placed.session_id, placed.address, placed.expires_at, state,
    ended.occurred_at AS ended_at, ended.actor AS ended_by, ended.reason AS ended_why
FROM placed LEFT JOIN events AS ended ON ended.position = placed.ended_by
ORDER BY placed.position
""",
)
