"""Report 12, denials: what was refused, why, whose, and from where.

A flood of equal refusals is one event with a count; here the counts are summed, so that they are
exact. Under a flood of too many clients or addresses these are `*`; `?` is a client that is not
registered: what was typed there may be a secret and is in no log. Failures of the service (5xx) are
not refusals. An event counts by the moment it was recorded, its refusals a moment before.

Bounds: `most` bounds the rows, the most frequent first; `causes` and `total` are of all.
"""

from projections.reports.report import Column, Kind, Parameter, Report

DENIALS = Report(
    number=12,
    name="denials",
    title="Denials",
    question="What was refused, for which reason, to which client, and from where?",
    asked_by="PCI DSS 10.2.1.4, NIST SP 800-53 AC-7",
    columns=(
        Column("error", "The OAuth error that the caller saw"),
        Column("reason", "The true cause, which only the record knows"),
        Column("endpoint", "Where"),
        Column("grant_type", "By which grant type, at the token endpoint"),
        Column("client_id", "Who asked; nothing where none was named, ? unregistered, * many"),
        Column("address", "From where, a pseudonym unless settings keep addresses; * many"),
        Column("refusals", "How many"),
        Column("events", "How many events tell of them"),
        Column("first_at", "When the first was (UTC)"),
        Column("last_at", "When the last was (UTC)"),
        Column("causes", "How many such rows there are, listed or not"),
        Column("total", "How many refusals there are, listed or not"),
    ),
    parameters=(
        Parameter("days", Kind.DAYS, "Recorded in the days before the moment", default=30),
        Parameter("client_id", Kind.TEXT, "Only to this client"),
        Parameter("address", Kind.TEXT, "Only from this address, as the log has it"),
        Parameter("error", Kind.TEXT, "Only with this error"),
        Parameter("most", Kind.NUMBER, "How many rows to list", default=1000),
    ),
    sql="""
WITH refused AS (
    SELECT error, reason, detail->>'endpoint' AS endpoint, grant_type, client_id, address,
        CAST(sum(CAST(detail->>'count' AS bigint)) AS bigint) AS refusals, count(*) AS events,
        min(CAST(detail->>'first_at' AS timestamptz)) AS first_at,
        max(CAST(detail->>'last_at' AS timestamptz)) AS last_at
    FROM events
    WHERE topic = 'grant.denied' AND topic <> 'token.issued'
        AND recorded_at > %(moment)s - interval '1 day' * %(days)s
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
        AND (CAST(%(address)s AS text) IS NULL OR address = %(address)s)
        AND (CAST(%(error)s AS text) IS NULL OR error = %(error)s)
    GROUP BY error, reason, detail->>'endpoint', grant_type, client_id, address
)
SELECT refused.*, count(*) OVER () AS causes, CAST(sum(refusals) OVER () AS bigint) AS total
FROM refused
ORDER BY refusals DESC, error COLLATE "C", reason COLLATE "C", endpoint COLLATE "C",
    coalesce(grant_type, '') COLLATE "C", coalesce(client_id, '') COLLATE "C",
    coalesce(address, '') COLLATE "C"
LIMIT %(most)s
""",
)
