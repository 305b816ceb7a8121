"""An entry of the audit trail for each golden example, made without a database."""

from datetime import datetime
from typing import Any

from application.ledger.mapper import LedgerMapper
from projections.audit_trail import OUTCOMES, AuditEntry
from projections.projection import shown_actor
from tests.golden.examples import MOMENT, examples

_SAME = ("client_id", "subject", "session_id", "grant_type", "error", "kid", "address")
_OWN = {"occurred_at", "verifier", "originator_topic", "by", "why", "reason"}


def entries() -> dict[str, AuditEntry]:
    """Return the entries by the names of the golden files."""
    mapper = LedgerMapper()
    found = {}
    for position, (name, event) in enumerate(examples().items(), start=1):
        stored = mapper.to_stored_event(event)
        facts = mapper.to_facts(stored.topic, stored.state)
        found[name] = _entry(position, stored.topic, event.originator_id, facts)
    return found


def _entry(position: int, topic: str, stream_id: Any, facts: dict[str, Any]) -> AuditEntry:
    descent = facts.get("descent") or {"actors": []}
    named = {name: facts.get(name) or None for name in (*_SAME, "request_id", "traceparent")}
    named |= {name: facts.get(name) for name in ("scope", "audience", "family_id")}
    ends = facts.get("expires_at")
    known = {*named, *_OWN, "jti", "expires_at"}
    return AuditEntry(
        position=position,
        occurred_at=MOMENT,
        recorded_at=MOMENT,
        topic=topic,
        outcome=OUTCOMES[topic],
        jti=stream_id if topic.startswith("token.") else facts.get("jti"),
        reason=facts.get("reason") or facts.get("why") or None,
        actor=facts.get("by") or None,
        actors=[shown_actor(one) for one in descent["actors"]] or None,
        expires_at=datetime.fromisoformat(ends) if ends else None,
        detail={k: v for k, v in facts.items() if v is not None and k not in known},
        **named,
    )
