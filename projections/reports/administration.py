"""Report 18, administration: every administrative act, by whom, when and why.

What changes clients, principals, issuers, keys and registration tokens, what somebody ended who is
not the one it belonged to, and that the log went back, which undoes such acts.
"""

from projections.reports.client_state import CLIENT_TOPICS
from projections.reports.report import Column, Kind, Parameter, Report

_OTHERS = (
    *(f"principal.{name}" for name in ("registered", "roles_assigned", "deactivated")),
    *(f"principal.{name}" for name in ("reactivated", "password_set", "passkey_added")),
    *(f"principal.{name}" for name in ("passkey_removed", "identity_linked")),
    *(f"issuer.{name}" for name in ("added", "terms_replaced", "removed")),
    *(f"initial_access.{name}" for name in ("issued", "used", "revoked")),
    *(f"key.{name}" for name in ("generated", "activated", "retired", "revoked", "rewrapped")),
    *(f"retention.{name}" for name in ("opened", "detached", "restored")),
    "log.went_back",
)
_ACTS = ", ".join(f"'{topic}'" for topic in (*CLIENT_TOPICS, *_OTHERS))
_ENDS = "'session.ended', 'family.revoked', 'token.revoked'"

ADMINISTRATION = Report(
    number=18,
    name="administration",
    title="Administration",
    question="Which administrative acts were there, by whom, when and why?",
    asked_by="PCI DSS 10.2.1.2",
    columns=(
        Column("position", "The event, by its position"),
        Column("occurred_at", "When (UTC)"),
        Column("recorded_at", "When it was recorded (UTC)"),
        Column("actor", "Who did it: a subject, a client, cli: and a system user, or system"),
        Column("reason", "The reason that was given"),
        Column("topic", "What was done"),
        Column("client_id", "The client it concerns"),
        Column("subject", "The principal it concerns"),
        Column("detail", "Every other fact of the event"),
        Column("request_id", "The request it came from"),
    ),
    parameters=(
        Parameter("actor", Kind.TEXT, "Only what this one did"),
        Parameter("since", Kind.MOMENT, "Only what was recorded from then on"),
        Parameter("until", Kind.MOMENT, "Only what was recorded before then"),
    ),
    sql=f"""
SELECT position, occurred_at, recorded_at, actor, reason, topic, client_id, subject,
    detail, request_id
FROM events
WHERE topic <> 'token.issued'
    AND (topic IN ({_ACTS}) OR (topic IN ({_ENDS})
        AND actor <> coalesce(client_id, '') AND actor <> coalesce(subject, '')))
    AND (CAST(%(actor)s AS text) IS NULL OR actor = %(actor)s)
    AND (CAST(%(since)s AS timestamptz) IS NULL OR recorded_at >= %(since)s)
    AND (CAST(%(until)s AS timestamptz) IS NULL OR recorded_at < %(until)s)
ORDER BY position
""",
)
