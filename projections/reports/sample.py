"""Report 23, sample: N provisioning and revocation events, drawn by a seed that anybody can repeat.

The draw orders the population by the MD5 of seed and position, which nobody who records an event
can steer: the position is given afterwards. MD5 because both engines have it; nothing here rests
on its strength, since the seed is the auditor's.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from projections.reports.report import Column, Kind, Parameter, Report, Row

PROVISIONING, REVOCATION = "provisioning", "revocation"
SAMPLED: Mapping[str, str] = {
    "client.registered": PROVISIONING,
    "client.secret_added": PROVISIONING,
    "client.scopes_changed": PROVISIONING,
    "client.grant_types_changed": PROVISIONING,
    "client.audiences_changed": PROVISIONING,
    "client.owner_changed": PROVISIONING,
    "client.token_policy_changed": PROVISIONING,
    "client.redirects_changed": PROVISIONING,
    "client.delegation_changed": PROVISIONING,
    "client.authentication_changed": PROVISIONING,
    "client.authorization_details_types_changed": PROVISIONING,
    "client.registration_token_set": PROVISIONING,
    "client.enabled": PROVISIONING,
    "principal.registered": PROVISIONING,
    "principal.roles_assigned": PROVISIONING,
    "principal.reactivated": PROVISIONING,
    "principal.password_set": PROVISIONING,
    "principal.passkey_added": PROVISIONING,
    "principal.identity_linked": PROVISIONING,
    "consent.given": PROVISIONING,
    "issuer.added": PROVISIONING,
    "issuer.terms_replaced": PROVISIONING,
    "initial_access.issued": PROVISIONING,
    "key.generated": PROVISIONING,
    "key.activated": PROVISIONING,
    "client.secret_retired": REVOCATION,
    "client.disabled": REVOCATION,
    "principal.deactivated": REVOCATION,
    "principal.passkey_removed": REVOCATION,
    "consent.withdrawn": REVOCATION,
    "issuer.removed": REVOCATION,
    "initial_access.revoked": REVOCATION,
    "key.retired": REVOCATION,
    "key.revoked": REVOCATION,
    "token.revoked": REVOCATION,
    "family.revoked": REVOCATION,
    "family.reuse_detected": REVOCATION,
    "session.ended": REVOCATION,
}
"""Which topics give or widen access, and which take it away."""

_KINDS = ", ".join(f"('{topic}', '{category}')" for topic, category in SAMPLED.items())
_EVIDENCE = -1


def _evidence_as_text(rows: Sequence[Row], _: Mapping[str, Any]) -> Sequence[Row]:
    """Write the facts of each row the same way, whichever engine kept them."""
    return [
        (*row[:_EVIDENCE], json.dumps(row[_EVIDENCE], sort_keys=True, ensure_ascii=False))
        for row in rows
    ]


SAMPLE = Report(
    number=23,
    name="sample",
    title="Sample",
    question="Which provisioning and revocation events does a seeded draw of N select?",
    asked_by="SOC 2 Type II",
    columns=(
        Column("drawn", "The number in the draw, from 1"),
        Column("population", "How many events the draw was from"),
        Column("category", "provisioning or revocation"),
        Column("position", "The position in the log, by which the event is found again"),
        Column("occurred_at", "When it happened (UTC)"),
        Column("recorded_at", "When it was recorded (UTC)"),
        Column("topic", "What happened"),
        Column("actor", "Who did it"),
        Column("client_id", "The client it concerns"),
        Column("subject", "The person it concerns"),
        Column("reason", "The reason that was given"),
        Column("request_id", "The request it came from"),
        Column("traceparent", "The trace it belongs to"),
        Column("evidence", "Every other fact of the event, as JSON"),
    ),
    parameters=(
        Parameter("seed", Kind.TEXT, "What the draw starts from; chosen by the auditor", True),
        Parameter("size", Kind.NUMBER, "How many events to draw", default=25),
        Parameter("since", Kind.MOMENT, "The first moment of recording that counts"),
        Parameter("until", Kind.MOMENT, "The first moment of recording that counts no more"),
    ),
    evaluate=_evidence_as_text,
    # Names of topics and categories are constants of this file.
    sql=f"""
WITH kinds(topic, category) AS (VALUES {_KINDS}),
population AS (
    SELECT e.*, kinds.category,
        md5(CAST(%(seed)s AS text) || ':' || CAST(e.position AS text)) AS lot
    FROM events AS e JOIN kinds ON kinds.topic = e.topic
    WHERE e.topic <> 'token.issued'
        AND (CAST(%(since)s AS timestamptz) IS NULL OR e.recorded_at >= %(since)s)
        AND (CAST(%(until)s AS timestamptz) IS NULL OR e.recorded_at < %(until)s)
)
SELECT row_number() OVER (ORDER BY lot COLLATE "C", position) AS drawn,
    count(*) OVER () AS population, category, position, occurred_at, recorded_at, topic,
    actor, client_id, subject, reason, request_id, traceparent, detail
FROM population
ORDER BY lot COLLATE "C", position
LIMIT %(size)s
""",
)
