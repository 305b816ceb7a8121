"""Report 15, policy-drift: tokens that today's policy would refuse, or give less.

Nothing of the policy is written a second time in SQL. The SQL groups what was decided alike, and
brings the history of the clients, principals and issuers behind it; the domain folds that history,
and its own code decides again, once for each group (projections.reports.reconsidered). Today is
the moment asked for: clients, principals and issuers as of then; the scope catalogue and the other
settings of the deployment are those in force now, for the log knows only the catalogue's
fingerprint.

Bounds: what is kept in memory is one row for each group and one for each event of the configuration
behind them, never one for each token. Tokens are those that still work at the moment asked for, or
with `since` all that were recorded from then on.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from domain.client import Client
from domain.client_configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from domain.issuance import DeploymentPolicy
from domain.principal import Principal
from domain.recorded import Administered
from domain.trusted_issuer import TrustedIssuer
from projections.reports.reconsidered import Granted, Verdict, reconsidered
from projections.reports.refolded import Directory, Told, refolded
from projections.reports.report import Column, Kind, Parameter, Report, Row


class _Group(NamedTuple):
    """A row of the SQL about tokens; the first columns of a row about configuration are Told's."""

    part: str
    position: int
    topic: None
    first_at: datetime
    client_id: str
    subject: str
    actor: None
    reason: None
    detail: None
    grant_type: str
    requested: str | None
    scope: list[str]
    audience: list[str]
    form: str
    on_behalf_of_person: bool
    confirmation: str | None
    detail_types: str
    subject_scope: str | None
    actors: list[str] | None
    impersonation: bool
    vouched_by: str | None
    from_machine: bool
    policy: str
    client_version: int
    owner_version: int | None
    tokens: int
    live: int
    lifetime: int
    last_at: datetime
    last_expires_at: datetime


def _drifted(rows: Sequence[Row], values: Mapping[str, Any]) -> Sequence[Row]:
    policy: DeploymentPolicy = values["policy"]
    directory = refolded([Told(*row[2:9]) for row in rows if row[0] == "configuration"])
    found = []
    for row in rows:
        if row[0] == "decision":
            group = _Group(*row)
            verdict = reconsidered(_granted(group), directory, policy, now=values["moment"])
            if verdict is not None:
                found.append(_row(group, verdict, directory, policy))
    return found


def _granted(group: _Group) -> Granted:
    return Granted(
        client_id=group.client_id,
        subject=group.subject,
        grant_type=group.grant_type,
        requested=_names(group.requested) if group.requested else None,
        scope=tuple(group.scope),
        audience=tuple(group.audience),
        form=group.form,
        lifetime=group.lifetime,
        on_behalf_of_person=group.on_behalf_of_person,
        confirmation=group.confirmation,
        detail_types=_names(group.detail_types),
        subject_scope=_names(group.subject_scope),
        actors=tuple(group.actors or ()),
        impersonation=group.impersonation,
        vouched_by=group.vouched_by,
        from_machine=group.from_machine,
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text)) if text else ()


def _row(group: _Group, verdict: Verdict, directory: Directory, policy: DeploymentPolicy) -> Row:
    client = directory.clients.get(group.client_id)
    behind = group.subject if group.subject in directory.principals else client and client.owner
    person = directory.principals.get(behind or "")
    return (
        verdict.outcome,
        verdict.why,
        group.client_id,
        group.subject,
        group.grant_type,
        group.scope,
        list(verdict.scope),
        group.audience,
        group.tokens,
        group.live,
        group.first_at,
        group.last_at,
        group.last_expires_at,
        group.client_version,
        client.version if client is not None else None,
        group.owner_version,
        person.version if person is not None else None,
        group.policy,
        policy.catalogue.digest,
    )


def _topics_of(aggregate: type[Administered]) -> str:
    events = (one for one in vars(aggregate).values() if hasattr(one, "TOPIC"))
    return ", ".join(f"'{topic}'" for topic in dict.fromkeys(one.TOPIC for one in events))


POLICY_DRIFT = Report(
    number=15,
    name="policy-drift",
    title="Policy drift",
    question=(
        "Which tokens would today's policy refuse, or give less, and what was the policy when they"
        " were issued?"
    ),
    asked_by="SOC 2 CC6.3, NIST SP 800-53 AC-6",
    columns=(
        Column(
            "verdict",
            "refused, narrowed (the policy of today would give less) or unknown (the events do not"
            " reach back to the registration of the client)",
        ),
        Column("why", "What the policy of today says"),
        Column("client_id", "The client the tokens were issued to"),
        Column("subject", "On whose behalf"),
        Column("grant_type", "By which grant type"),
        Column("scope", "The scopes they were issued with"),
        Column("scope_today", "The scopes that are left today"),
        Column("audience", "Where they are good"),
        Column("tokens", "How many tokens were decided alike"),
        Column(
            "live", "How many of them have not expired, nor been revoked, nor an ancestor of theirs"
        ),
        Column("first_at", "When the first was issued (UTC)"),
        Column("last_at", "When the last was issued (UTC)"),
        Column("last_expires_at", "When the last of them to expire does (UTC)"),
        Column("client_version", "The version of the client that decided then"),
        Column("client_version_today", "Its version today"),
        Column("owner_version", "The version of the principal behind it that decided then"),
        Column("owner_version_today", "The principal's version today"),
        Column("policy", "The fingerprint of the scope catalogue then"),
        Column("policy_today", "The fingerprint of the scope catalogue today"),
    ),
    parameters=(
        Parameter("client_id", Kind.TEXT, "Only tokens of this client"),
        Parameter("since", Kind.MOMENT, "Every token recorded from then on, ended ones too"),
    ),
    evaluate=_drifted,
    # The topics are constants of the domain.
    sql=f"""
WITH revoked AS (
    SELECT jti, bool_or(detail->>'descendants' = 'true') AS cut
    FROM events
    WHERE topic = 'token.revoked' AND topic <> 'token.issued'
    GROUP BY jti
),
tokens AS (
    SELECT * FROM events
    WHERE topic = 'token.issued'
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
        AND CASE
            WHEN CAST(%(since)s AS timestamptz) IS NULL THEN expires_at > %(moment)s
            ELSE recorded_at >= %(since)s
        END
),
ancestors AS (
    SELECT position, jsonb_array_elements_text(detail->'descent'->'lineage') AS ancestor
    FROM tokens
    WHERE grant_type = '{TOKEN_EXCHANGE}'
),
void AS (
    SELECT DISTINCT ancestors.position
    FROM ancestors JOIN revoked ON CAST(revoked.jti AS text) = ancestors.ancestor
    WHERE revoked.cut
),
roots AS (
    SELECT e.position, root.grant_type
    FROM tokens AS e
    JOIN events AS root
        ON CAST(root.jti AS uuid) = CAST(e.detail->'descent'->'lineage'->>0 AS uuid)
        AND root.topic = 'token.issued'
    WHERE e.grant_type = '{TOKEN_EXCHANGE}'
),
decided AS (
    SELECT e.client_id, e.subject, e.grant_type,
        CAST(e.detail->'requested_scope' AS text) AS requested, e.scope, e.audience,
        e.detail->>'form' AS form,
        (e.detail->>'owner_version') IS NOT NULL AS on_behalf_of_person,
        e.detail->'confirmation'->>'method' AS confirmation,
        CAST(jsonb_path_query_array(e.detail, '$.authorization_details[*].type') AS text)
            AS detail_types,
        CAST(e.detail->'descent'->'of_subject' AS text) AS subject_scope, e.actors,
        coalesce(e.detail->'descent'->>'impersonation', 'false') = 'true' AS impersonation,
        e.detail->'descent'->'vouched'->>'issuer' AS vouched_by,
        coalesce(roots.grant_type, '') = '{CLIENT_CREDENTIALS}' AS from_machine,
        e.detail->>'policy' AS policy,
        CAST(e.detail->>'client_version' AS bigint) AS client_version,
        CAST(e.detail->>'owner_version' AS bigint) AS owner_version,
        count(*) AS tokens,
        count(*) FILTER (
            WHERE revoked.jti IS NULL AND void.position IS NULL AND e.expires_at > %(moment)s
        ) AS live,
        max(CAST(floor(extract(epoch FROM e.expires_at - e.occurred_at)) AS bigint)) AS lifetime,
        min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at,
        max(e.expires_at) AS last_expires_at, min(e.position) AS position
    FROM tokens AS e
    LEFT JOIN revoked ON revoked.jti = e.jti
    LEFT JOIN void ON void.position = e.position
    LEFT JOIN roots ON roots.position = e.position
    WHERE CAST(%(since)s AS timestamptz) IS NOT NULL
        OR (revoked.jti IS NULL AND void.position IS NULL)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
),
-- A subject is a person, or the client itself, or a client that somebody acts for.
clients AS (
    SELECT e.*
    FROM events AS e
    JOIN (SELECT client_id AS name FROM decided UNION SELECT subject FROM decided) AS named
        ON named.name = e.client_id
    WHERE e.topic IN ({_topics_of(Client)}) AND e.topic <> 'token.issued'
),
configuration AS (
    SELECT * FROM clients
    UNION ALL
    SELECT e.*
    FROM events AS e
    JOIN (SELECT subject AS name FROM decided UNION SELECT detail->>'owner' FROM clients) AS named
        ON named.name = e.subject
    WHERE e.topic IN ({_topics_of(Principal)}) AND e.topic <> 'token.issued'
    UNION ALL
    SELECT * FROM events
    WHERE topic IN ({_topics_of(TrustedIssuer)}) AND topic <> 'token.issued'
)
SELECT 'configuration' AS part, position, topic, occurred_at, client_id, subject, actor, reason,
    detail, NULL AS grant_type, NULL AS requested, CAST(NULL AS text[]) AS scope,
    CAST(NULL AS text[]) AS audience, NULL AS form, CAST(NULL AS boolean) AS on_behalf_of_person,
    NULL AS confirmation, NULL AS detail_types, NULL AS subject_scope,
    CAST(NULL AS text[]) AS actors, CAST(NULL AS boolean) AS impersonation, NULL AS vouched_by,
    CAST(NULL AS boolean) AS from_machine,
    NULL AS policy, CAST(NULL AS bigint) AS client_version, CAST(NULL AS bigint) AS owner_version,
    CAST(NULL AS bigint) AS tokens, CAST(NULL AS bigint) AS live, CAST(NULL AS bigint) AS lifetime,
    CAST(NULL AS timestamptz) AS last_at, CAST(NULL AS timestamptz) AS last_expires_at
FROM configuration
UNION ALL
SELECT 'decision', position, NULL, first_at, client_id, subject, NULL, NULL, NULL, grant_type,
    requested, scope, audience, form, on_behalf_of_person, confirmation, detail_types,
    subject_scope, actors, impersonation, vouched_by, from_machine, policy, client_version,
    owner_version, tokens,
    live, lifetime, last_at, last_expires_at
FROM decided
ORDER BY part, position
""",
)
