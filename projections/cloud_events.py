"""Entries of the audit trail as CloudEvents 1.0 (JSON format), for event buses."""

from dataclasses import fields
from typing import Any

from projections.audit_trail import AuditEntry

_ENVELOPE = ("position", "topic", "traceparent")
_FACTS = tuple(field.name for field in fields(AuditEntry) if field.name not in _ENVELOPE)


def cloud_event(entry: AuditEntry, *, source: str) -> dict[str, Any]:
    """Return the event; `source` is the issuer. Its id is the position: unique with the source."""
    subject = entry.jti or entry.client_id or entry.subject
    return {
        "specversion": "1.0",
        "id": str(entry.position),
        "source": source,
        "type": entry.topic,
        "time": entry.occurred_at.isoformat(),
        "datacontenttype": "application/json",
        **({"subject": str(subject)} if subject else {}),
        # The extension of distributed tracing.
        **({"traceparent": entry.traceparent} if entry.traceparent else {}),
        "data": {name: value for name in _FACTS if (value := getattr(entry, name)) is not None},
    }
