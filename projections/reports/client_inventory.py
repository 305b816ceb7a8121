"""Report 2, client-inventory: which clients there were, and what each was allowed."""

from projections.reports.client_state import CLIENT_EVENTS, CLIENT_SECRETS, CLIENT_STATE
from projections.reports.report import Column, Kind, Parameter, Report

CLIENT_INVENTORY = Report(
    number=2,
    name="client-inventory",
    title="Client inventory",
    question="Which clients are there, who owns them, and what is each of them allowed?",
    asked_by="SOC 2 CC6.1",
    columns=(
        Column("client_id", "The client"),
        Column("name", "What people are shown"),
        Column("client_type", "confidential or public (RFC 6749, Section 2.1)"),
        Column("enabled", "Whether anything is issued to it"),
        Column("owner", "The principal whose authority bounds it, if any"),
        Column("grant_types", "How it may get tokens"),
        Column("scopes", "What its tokens may say at most"),
        Column("audiences", "For whom its tokens may be"),
        Column("authentication", "How it proves who it is; empty: by a secret, either way"),
        Column("secrets", "Secrets that authenticate it at that moment"),
        Column("registered_at", "Since when it exists (UTC)"),
        Column("changed_at", "When it was last changed (UTC)"),
        Column("changed_by", "By whom"),
    ),
    parameters=(Parameter("owner", Kind.TEXT, "Only clients of this principal"),),
    sql=f"""
WITH {CLIENT_EVENTS}, {CLIENT_STATE}, {CLIENT_SECRETS},
usable AS (
    SELECT client_id, count(*) AS secrets FROM client_secrets
    WHERE usable_until IS NULL OR usable_until > %(moment)s
    GROUP BY client_id
)
SELECT state.client_id, name, client_type, enabled, owner, grant_types, scopes,
    (audiences -> 'allowed') AS audiences,
    (authentication ->> 'method') AS authentication,
    coalesce(usable.secrets, 0) AS secrets,
    registered_at, changed_at, changed_by
FROM client_state AS state LEFT JOIN usable ON usable.client_id = state.client_id
WHERE CAST(%(owner)s AS text) IS NULL OR owner = %(owner)s
ORDER BY state.client_id COLLATE "C"
""",  # relations of this package
)
