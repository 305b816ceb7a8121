"""Words for events."""

from projections.audit_trail import AuditEntry


def sentence(entry: AuditEntry) -> str:
    """Return what happened, in one sentence."""
    said = entry.topic.replace(".", " ").replace("_", " ").capitalize()
    who = f" for client {entry.client_id}" if entry.client_id else ""
    whom = f", subject {entry.subject}" if entry.subject else ""
    return f"{said}{who}{whom}."
