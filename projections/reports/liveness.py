"""What a token is good for at the moment asked for, as introspection would say (RFC 7662).

The rules are those of application.introspection.living_token, over the log up to then. The first
that fits names the state:

1 `revoked`: TokenRevoked was recorded; 2 `void`: an ancestor was revoked with its descendants;
3 `expired`; 4 `void` as well: the key that signed it, or an ancestor, was revoked, or the person or
owner that it, or an ancestor, was issued under was deactivated since; 5 `suspended`: what stands
behind it, or behind an ancestor, does not: its client is disabled, the present owner of its client
is not active, the machine it is on behalf of is disabled, the issuer that vouched for it is not
trusted. Then `live`.

The end of a session or family counts by the tokens that it revoked, in the same unit. A suspended
token is refused now and works again when the client is enabled, say: `because` tells whom it waits
for. "Since" is by position here: a token that another process issued in the moment before it learnt
of a deactivation is void as well, and shows as suspended or live. Whoever verifies tokens without
asking goes on taking them until they expire, in whatever state; and what is no access_token (an
ID-JAG) is for another server to judge.
"""

from domain.client_configuration import CLIENT_CREDENTIALS

UNEXPIRED = """topic = 'token.issued' AND expires_at > %(moment)s
        AND expires_at < %(moment)s + interval '3 days'
        AND recorded_at > %(moment)s - interval '2 days'
        AND recorded_at < %(moment)s + interval '2 days'"""
"""What a token that has not expired fulfils. None lives for more than a day (MAX_LIFETIME of
domain.client_configuration); another day, and both ends, are for clocks that differ, or were set
back: two ends tell the planner how few there are.
"""

JUDGED = f"""
ancestors AS (
    SELECT position, expires_at,
        jsonb_array_elements_text(detail->'descent'->'lineage') AS ancestor
    FROM candidates
    WHERE (detail->'descent') IS NOT NULL
),
-- The first revocation counts; a later one may still cut.
revoked AS (
    SELECT jti, bool_or(coalesce(detail->>'descendants', 'false') = 'true') AS cut,
        min(position) AS position
    FROM events
    WHERE topic = 'token.revoked' AND topic <> 'token.issued'
    GROUP BY jti
),
void AS (
    SELECT DISTINCT ancestors.position
    FROM ancestors JOIN revoked ON CAST(revoked.jti AS text) = ancestors.ancestor
    WHERE revoked.cut
),
revoked_keys AS (
    SELECT DISTINCT kid FROM events WHERE topic = 'key.revoked' AND topic <> 'token.issued'
),
clients AS (
    SELECT client_id,
        coalesce(max(position) FILTER (WHERE topic = 'client.enabled'), 0)
            >= coalesce(max(position) FILTER (WHERE topic = 'client.disabled'), 0) AS stands,
        (array_agg(detail->>'owner' ORDER BY position DESC) FILTER (
            WHERE topic IN ('client.registered', 'client.owner_changed')
        ))[1] AS owner
    FROM events
    WHERE topic IN (
            'client.registered', 'client.owner_changed', 'client.enabled', 'client.disabled'
        )
        AND topic <> 'token.issued'
    GROUP BY client_id
),
-- Whose a client was, from one position to the next.
owners AS (
    SELECT client_id, detail->>'owner' AS owner, position AS since,
        lead(position) OVER (PARTITION BY client_id ORDER BY position) AS until
    FROM events
    WHERE topic IN ('client.registered', 'client.owner_changed') AND topic <> 'token.issued'
),
principals AS (
    SELECT subject,
        coalesce(max(position) FILTER (WHERE topic = 'principal.reactivated'), 0)
            >= coalesce(max(position) FILTER (WHERE topic = 'principal.deactivated'), 0) AS stands,
        max(position) FILTER (WHERE topic = 'principal.deactivated') AS ended
    FROM events
    WHERE topic IN ('principal.registered', 'principal.reactivated', 'principal.deactivated')
        AND topic <> 'token.issued'
    GROUP BY subject
),
issuers AS (
    SELECT detail->>'issuer' AS issuer,
        max(position) FILTER (WHERE topic <> 'issuer.removed')
            > coalesce(max(position) FILTER (WHERE topic = 'issuer.removed'), 0) AS stands
    FROM events
    WHERE topic IN ('issuer.added', 'issuer.terms_replaced', 'issuer.removed')
        AND topic <> 'token.issued'
    GROUP BY detail->>'issuer'
),
-- The token itself, and each of its ancestors: all of them have to stand. No token outlives what it
-- came from, so that the ancestors of those that have not expired have not either.
behind AS (
    SELECT position AS token, position AS began, client_id, subject, grant_type, kid, detail
    FROM candidates
    WHERE expires_at > %(moment)s
    UNION ALL
    SELECT ancestors.position, e.position, e.client_id, e.subject, e.grant_type, e.kid, e.detail
    FROM ancestors LEFT JOIN (SELECT * FROM events WHERE {UNEXPIRED}) AS e
        ON e.jti = CAST(ancestors.ancestor AS uuid)
    WHERE ancestors.expires_at > %(moment)s
),
unvouched AS (
    SELECT behind.token, min(behind.kid COLLATE "C") AS kid
    FROM behind JOIN revoked_keys ON revoked_keys.kid = behind.kid
    GROUP BY behind.token
),
grounds AS (
    SELECT token, began, coalesce(behind.client_id, '') AS client_id,
        coalesce(subject, '') AS subject, coalesce(owners.owner, '') AS owner,
        coalesce(detail->'descent'->'vouched'->>'issuer', '') AS issuer,
        CASE
            WHEN grant_type = '{CLIENT_CREDENTIALS}' THEN 'owner'
            WHEN (detail->'descent') IS NOT NULL AND (detail->>'owner_version') IS NULL
                THEN 'machine'
            ELSE 'person'
        END AS behalf
    FROM behind
    LEFT JOIN owners ON owners.client_id = behind.client_id AND behind.began > owners.since
        AND (owners.until IS NULL OR behind.began < owners.until)
),
outlived AS (
    SELECT DISTINCT grounds.token
    FROM grounds JOIN principals ON principals.subject
        = CASE grounds.behalf WHEN 'person' THEN grounds.subject WHEN 'owner' THEN grounds.owner END
    WHERE principals.ended > grounds.began
),
-- Many tokens stand on the same: each ground is judged once.
judged_grounds AS (
    SELECT grounds.client_id, grounds.subject, grounds.owner, grounds.issuer, grounds.behalf,
        CASE
            WHEN grounds.client_id = '' THEN 'an ancestor that is not in the log'
            WHEN client.stands IS NOT TRUE THEN 'client ' || grounds.client_id
            WHEN grounds.issuer <> '' AND issuers.stands IS NOT TRUE
                THEN 'issuer ' || grounds.issuer
            WHEN grounds.behalf = 'owner' AND grounds.owner <> ''
                AND issued_under.stands IS NOT TRUE THEN 'owner ' || grounds.owner
            WHEN grounds.behalf = 'owner' AND client.owner IS NOT NULL
                AND owner.stands IS NOT TRUE THEN 'owner ' || client.owner
            WHEN grounds.behalf = 'machine' AND machine.stands IS NOT TRUE
                THEN 'client ' || grounds.subject
            WHEN grounds.behalf = 'person' AND person.stands IS NOT TRUE
                THEN 'principal ' || grounds.subject
        END AS missing
    FROM (SELECT DISTINCT client_id, subject, owner, issuer, behalf FROM grounds) AS grounds
    LEFT JOIN clients AS client ON client.client_id = grounds.client_id
    LEFT JOIN clients AS machine ON machine.client_id = grounds.subject
    LEFT JOIN principals AS owner ON owner.subject = client.owner
    LEFT JOIN principals AS issued_under ON issued_under.subject = grounds.owner
    LEFT JOIN principals AS person ON person.subject = grounds.subject
    LEFT JOIN issuers ON issuers.issuer = grounds.issuer
),
suspended AS (
    SELECT grounds.token, min(missing COLLATE "C") AS missing
    FROM grounds JOIN judged_grounds AS judged
        ON judged.client_id = grounds.client_id AND judged.subject = grounds.subject
        AND judged.owner = grounds.owner
        AND judged.issuer = grounds.issuer AND judged.behalf = grounds.behalf
    WHERE judged.missing IS NOT NULL
    GROUP BY grounds.token
),
judged AS (
    SELECT candidates.*,
        CASE
            WHEN revoked.jti IS NOT NULL THEN 'revoked'
            WHEN void.position IS NOT NULL THEN 'void'
            WHEN candidates.expires_at <= %(moment)s THEN 'expired'
            WHEN unvouched.token IS NOT NULL OR outlived.token IS NOT NULL THEN 'void'
            WHEN suspended.token IS NOT NULL THEN 'suspended'
            ELSE 'live'
        END AS state,
        CASE
            WHEN unvouched.token IS NOT NULL THEN 'key ' || unvouched.kid
            ELSE suspended.missing
        END AS because,
        revoked.position AS ended_by
    FROM candidates
    LEFT JOIN revoked ON revoked.jti = candidates.jti
    LEFT JOIN void ON void.position = candidates.position
    LEFT JOIN unvouched ON unvouched.token = candidates.position
    LEFT JOIN outlived ON outlived.token = candidates.position
    LEFT JOIN suspended ON suspended.token = candidates.position
)"""
"""Relations that end with `judged`: the tokens of the relation `candidates`, rows of `events` of
the topic token.issued, with `state`, `because`, and `ended_by`, the position of the event that
revoked each. Goes into a report's WITH, behind `candidates`.
"""
