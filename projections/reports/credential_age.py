"""Report 3, credential-age: what authenticates clients, or signs, for longer than it should.

Secrets that are still usable at the moment, keys that clients registered themselves (as old as the
configuration that names them; those behind a `jwks_uri` are not in the log), tokens that manage a
registration, and signing keys that still sign or verify.
"""

from projections.reports.client_state import CLIENT_EVENTS, CLIENT_SECRETS, CLIENT_STATE
from projections.reports.report import Column, Kind, Parameter, Report

CREDENTIAL_AGE = Report(
    number=3,
    name="credential-age",
    title="Age of credentials",
    question="Which secrets and keys that still count are older than N days, and whose are they?",
    asked_by="PCI DSS 8.6.3",
    columns=(
        Column("kind", "secret, client_key, registration_token or signing_key"),
        Column("client_id", "Whose it is; empty for keys of the service"),
        Column("credential_id", "Its secret_id or kid"),
        Column("added_at", "Since when it counts (UTC)"),
        Column("added_by", "Who added it"),
        Column("age_days", "Whole days since then"),
        Column("usable_until", "When it ends, where it was retired (UTC)"),
        Column("client_enabled", "Whether anything is issued to the client"),
    ),
    parameters=(
        Parameter("days", Kind.DAYS, "Only what is at least so many days old", default=90),
    ),
    sql=f"""
WITH {CLIENT_EVENTS}, {CLIENT_STATE}, {CLIENT_SECRETS},
authenticated AS (
    SELECT client_id, max(position) AS position FROM client_events
    WHERE topic = 'client.authentication_changed'
        OR (topic = 'client.registered' AND ((detail -> 'authentication') IS NOT NULL))
    GROUP BY client_id
),
client_keys AS (
    SELECT e.client_id, e.occurred_at, e.actor,
        jsonb_array_elements(detail -> 'authentication' -> 'jwks') AS jwk
    FROM client_events AS e JOIN authenticated ON authenticated.position = e.position
),
managed AS (
    SELECT client_id, max(position) AS position FROM client_events
    WHERE topic = 'client.registration_token_set' GROUP BY client_id
),
signing AS (
    SELECT kid, min(occurred_at) FILTER (WHERE topic = 'key.generated') AS added_at,
        min(actor) FILTER (WHERE topic = 'key.generated') AS added_by,
        coalesce(
            min(occurred_at) FILTER (WHERE topic = 'key.revoked'),
            min(CAST((detail ->> 'verify_until') AS timestamptz))
        ) AS usable_until
    FROM events
    WHERE topic <> 'token.issued'
        AND topic IN ('key.generated', 'key.activated', 'key.retired', 'key.revoked')
    GROUP BY kid
),
credentials AS (
    SELECT 'secret' AS kind, client_id, secret_id AS credential_id, added_at, added_by,
        usable_until
    FROM client_secrets
    UNION ALL
    SELECT 'client_key', client_id, (jwk ->> 'kid'), occurred_at, actor, NULL FROM client_keys
    UNION ALL
    SELECT 'registration_token', e.client_id, NULL, e.occurred_at, e.actor, NULL
    FROM client_events AS e JOIN managed ON managed.position = e.position
    UNION ALL
    SELECT 'signing_key', NULL, kid, added_at, added_by, usable_until FROM signing
),
aged AS (
    SELECT credentials.*,
        CAST(floor(extract(epoch FROM (CAST(%(moment)s AS timestamptz) - added_at)) / 86400)
            AS bigint) AS age_days
    FROM credentials
    WHERE usable_until IS NULL OR usable_until > %(moment)s
)
SELECT kind, aged.client_id, credential_id, added_at, added_by, age_days, usable_until,
    state.enabled AS client_enabled
FROM aged LEFT JOIN client_state AS state ON state.client_id = aged.client_id
WHERE age_days >= %(days)s
ORDER BY added_at, kind, coalesce(aged.client_id, '') COLLATE "C",
    coalesce(credential_id, '') COLLATE "C"
""",
)
