"""Report 4, dormant-clients: who could get tokens, and has not done anything for long.

Use is what the client did itself: it was issued a token, or it authenticated at another endpoint
(client.used, coalesced to at most one event a minute). Clients that are disabled are not dormant.
"""

from projections.reports.client_state import CLIENT_EVENTS, CLIENT_SECRETS, CLIENT_STATE
from projections.reports.report import Column, Kind, Parameter, Report

DORMANT_CLIENTS = Report(
    number=4,
    name="dormant-clients",
    title="Dormant clients",
    question="Which clients with live credentials have not been used for over N days?",
    asked_by="SOC 2, PCI DSS 7.2.5",
    columns=(
        Column("client_id", "The client"),
        Column("name", "What people are shown"),
        Column("owner", "The principal whose authority bounds it, if any"),
        Column("client_type", "confidential or public"),
        Column("authentication", "How it proves who it is; empty: by a secret"),
        Column("secrets", "Secrets that still authenticate it"),
        Column("registered_at", "Since when it exists (UTC)"),
        Column("last_used_at", "When it was last used (UTC); empty: never"),
        Column("unused_days", "Whole days since then, or since it was registered"),
    ),
    parameters=(Parameter("days", Kind.DAYS, "Unused for at least so many days", default=90),),
    sql=f"""
WITH {CLIENT_EVENTS}, {CLIENT_STATE}, {CLIENT_SECRETS},
usable AS (
    SELECT client_id, count(*) AS secrets FROM client_secrets
    WHERE usable_until IS NULL OR usable_until > %(moment)s
    GROUP BY client_id
),
-- One look into the index of clients for each of them: the log is long, the clients are few.
used AS (
    SELECT client_id, (
        SELECT max(e.position) FROM events AS e
        WHERE e.client_id = client_state.client_id AND e.topic IN ('token.issued', 'client.used')
    ) AS position
    FROM client_state WHERE enabled
),
last AS (
    SELECT used.client_id,
        CASE WHEN e.topic = 'client.used'
            THEN CAST((e.detail ->> 'last_at') AS timestamptz) ELSE e.occurred_at END AS used_at
    FROM used JOIN events AS e ON e.position = used.position
),
counted AS (
    SELECT state.client_id, name, owner, client_type, (authentication ->> 'method') AS method,
        coalesce(usable.secrets, 0) AS secrets, registered_at, last.used_at,
        CAST(floor(extract(epoch FROM
            (CAST(%(moment)s AS timestamptz) - coalesce(last.used_at, registered_at))) / 86400)
            AS bigint) AS unused_days
    FROM client_state AS state
    LEFT JOIN usable ON usable.client_id = state.client_id
    LEFT JOIN last ON last.client_id = state.client_id
    WHERE enabled
)
SELECT client_id, name, owner, client_type, method AS authentication, secrets, registered_at,
    used_at AS last_used_at, unused_days
FROM counted
WHERE unused_days >= %(days)s
    -- Without a secret and without another method nothing authenticates it.
    AND (secrets > 0 OR client_type = 'public' OR coalesce(method, '') NOT IN
        ('', 'client_secret_basic', 'client_secret_post'))
ORDER BY unused_days DESC, client_id COLLATE "C"
""",
)
