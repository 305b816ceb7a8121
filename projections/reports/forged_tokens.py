"""Report 25, forged-tokens: what a key of ours signed and this service never issued so.

A row is the sign of a leaked signing key. Equal presentations are one event with a count; here the
counts are summed, so that they are exact. What was presented to a resource server that verifies
tokens by itself never came here, and is in no row. Report 22, blast-radius, tells what else the key
signed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from projections.reports.report import Column, Kind, Parameter, Report, Row


def _names_as_text(rows: Sequence[Row], _: Mapping[str, Any]) -> Sequence[Row]:
    return [(kid, ", ".join(differs), *rest) for kid, differs, *rest in rows]


FORGED_TOKENS = Report(
    number=25,
    name="forged-tokens",
    title="Forged tokens",
    question="Which signing keys signed tokens that this service did not issue, and where were they"
    " presented?",
    asked_by="Incident response, NIST SP 800-53 IR-4, SC-12",
    columns=(
        Column("kid", "The key that has leaked"),
        Column("differs", 'Members that differ from the record, or "not recorded"; * many'),
        Column("endpoint", "Where the tokens were presented"),
        Column("client_id", "Which authenticated client presented them; nothing where none did"),
        Column("address", "From where, a pseudonym unless settings keep addresses"),
        Column("presented", "How many"),
        Column("events", "How many events tell of them; where and whence are of the last in each"),
        Column("first_at", "When the first was presented (UTC)"),
        Column("last_at", "When the last was presented (UTC)"),
        Column(
            "verify_until", "Until when the key verifies (UTC); nothing while it is not retired"
        ),
        Column("verifies", "Whether the key still verified at the moment asked for"),
        Column("total", "How many there are, listed or not"),
    ),
    parameters=(
        Parameter("kid", Kind.TEXT, "Only those that this key signed"),
        Parameter("since", Kind.MOMENT, "Only what was recorded from then on"),
        Parameter("until", Kind.MOMENT, "Only what was recorded before"),
        Parameter("most", Kind.NUMBER, "How many rows to list", default=1000),
    ),
    sql="""
WITH ended AS (
    SELECT kid, min(coalesce(CAST(detail->>'verify_until' AS timestamptz), occurred_at))
        AS verify_until
    FROM events
    WHERE topic IN ('key.retired', 'key.revoked') AND topic <> 'token.issued'
    GROUP BY kid
),
forged AS (
    SELECT kid, detail->'differs' AS differs, detail->>'endpoint' AS endpoint, client_id, address,
        CAST(sum(CAST(detail->>'count' AS bigint)) AS bigint) AS presented, count(*) AS events,
        min(CAST(detail->>'first_at' AS timestamptz)) AS first_at,
        max(CAST(detail->>'last_at' AS timestamptz)) AS last_at, min(position) AS position
    FROM events
    WHERE topic = 'forged_token.presented' AND topic <> 'token.issued'
        AND (CAST(%(kid)s AS text) IS NULL OR kid = %(kid)s)
        AND (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
    GROUP BY kid, detail->'differs', detail->>'endpoint', client_id, address
)
SELECT forged.kid, differs, endpoint, client_id, address, presented, events, first_at, last_at,
    verify_until, coalesce(verify_until > %(moment)s, true) AS verifies,
    CAST(sum(presented) OVER () AS bigint) AS total
FROM forged LEFT JOIN ended ON ended.kid = forged.kid
ORDER BY presented DESC, position
LIMIT %(most)s
""",
    evaluate=_names_as_text,
)
