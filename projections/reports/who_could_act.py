"""Report 8, who-could-act: which client could act for whom, and by what right.

| rule           | the client could act for                                                     |
|----------------|------------------------------------------------------------------------------|
| named          | the subjects of the tokens of `whom`, a client whose `may_act` names it       |
| unnamed        | those of any of the `count` clients that name nobody: who holds a token may   |
| trusted issuer | the people for whom `whom` vouches (RFC 7523, RFC 8693)                       |
| consent        | the person `whom`, who let it: a row for each resource and redirect target    |

Exchange takes a confidential client with that grant type; a disabled one could do nothing, and is
left out. What it was allowed then still bounds each token: `scopes`.
"""

from projections.reports.client_state import CLIENT_EVENTS, CLIENT_STATE
from projections.reports.report import Column, Kind, Parameter, Report

WHO_COULD_ACT = Report(
    number=8,
    name="who-could-act",
    title="Who could act for whom",
    question="Which clients could act for whom, and by what right?",
    asked_by="SOC 2 CC6.3",
    columns=(
        Column("client_id", "Who could act"),
        Column("rule", "named, unnamed, trusted issuer or consent"),
        Column("whom", "The client, issuer or person that lets it"),
        Column("count", "unnamed: how many clients let whoever holds their tokens"),
        Column("impersonation", "Whether it could do so without being named in the token"),
        Column("scopes", "What the tokens could say at most; of a consent, what it is for"),
        Column("since", "Since when the rule is in force, where one event made it (UTC)"),
    ),
    parameters=(
        Parameter("client_id", Kind.TEXT, "Only this client as the one who acts"),
        Parameter("whom", Kind.TEXT, "Only this client, issuer or person as the one acted for"),
    ),
    sql=f"""
WITH {CLIENT_EVENTS}, {CLIENT_STATE},
live AS (
    SELECT client_id, client_type, scopes, grant_types, delegation,
        coalesce((delegation ->> 'impersonation'), 'false') = 'true' AS impersonation
    FROM client_state WHERE enabled
),
granted AS (
    SELECT client_id, jsonb_array_elements_text(grant_types) AS grant_type FROM live
    WHERE client_type = 'confidential'
),
exchanging AS (
    SELECT live.* FROM live JOIN granted ON granted.client_id = live.client_id
        AND granted.grant_type = 'urn:ietf:params:oauth:grant-type:token-exchange'
),
asserting AS (
    SELECT DISTINCT live.client_id FROM live JOIN granted ON granted.client_id = live.client_id
        AND granted.grant_type IN ('urn:ietf:params:oauth:grant-type:token-exchange',
            'urn:ietf:params:oauth:grant-type:jwt-bearer')
),
naming AS (
    SELECT client_id, jsonb_array_elements_text(delegation -> 'may_act') AS party FROM live
    WHERE (delegation ->> 'may_act') IS NOT NULL
),
open AS (
    SELECT count(*) AS clients FROM live WHERE (delegation ->> 'may_act') IS NULL
),
issuer_events AS (
    SELECT (detail ->> 'issuer') AS issuer, topic, occurred_at, position FROM events
    WHERE topic <> 'token.issued'
        AND topic IN ('issuer.added', 'issuer.terms_replaced', 'issuer.removed')
),
trusted AS (
    SELECT issuer, (array_agg(occurred_at ORDER BY position DESC))[1] AS since
    FROM issuer_events GROUP BY issuer
    HAVING (array_agg(topic ORDER BY position DESC))[1] <> 'issuer.removed'
),
withdrawn AS (
    SELECT client_id, subject, max(position) AS position FROM events
    WHERE topic <> 'token.issued' AND topic = 'consent.withdrawn'
    GROUP BY client_id, subject
),
consents AS (
    SELECT e.client_id, e.subject,
        (array_agg(to_jsonb(e.scope) ORDER BY e.position DESC))[1] AS scope,
        (array_agg(e.occurred_at ORDER BY e.position DESC))[1] AS since
    FROM events AS e
    LEFT JOIN withdrawn ON withdrawn.client_id = e.client_id AND withdrawn.subject = e.subject
    WHERE e.topic <> 'token.issued' AND e.topic = 'consent.given'
        AND (withdrawn.position IS NULL OR e.position > withdrawn.position)
    -- Each resource and redirect target was consented to by itself.
    GROUP BY e.client_id, e.subject, e.detail ->> 'resource', e.detail ->> 'redirect_target'
),
allowed AS (
    SELECT exchanging.client_id, 'named' AS rule, naming.client_id AS whom,
        CAST(NULL AS bigint) AS count, impersonation, scopes, CAST(NULL AS timestamptz) AS since
    FROM exchanging JOIN naming ON naming.party = exchanging.client_id
    UNION ALL
    SELECT client_id, 'unnamed', NULL, open.clients, impersonation, scopes, NULL
    FROM exchanging CROSS JOIN open WHERE open.clients > 0
    UNION ALL
    SELECT live.client_id, 'trusted issuer', trusted.issuer, NULL, impersonation, scopes,
        trusted.since
    FROM asserting JOIN live ON live.client_id = asserting.client_id CROSS JOIN trusted
    UNION ALL
    SELECT live.client_id, 'consent', consents.subject, NULL, false, consents.scope,
        consents.since
    FROM consents JOIN live ON live.client_id = consents.client_id
)
SELECT client_id, rule, whom, count, impersonation, scopes, since FROM allowed
WHERE (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
    AND (CAST(%(whom)s AS text) IS NULL OR whom = %(whom)s)
ORDER BY client_id COLLATE "C", rule, coalesce(whom, '') COLLATE "C", since
""",
)
