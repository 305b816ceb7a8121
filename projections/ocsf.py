"""Entries of the audit trail as OCSF 1.8 events, for security data lakes.

| what happened                                   | class                     | activity          |
|--------------------------------------------------|---------------------------|-------------------|
| a token was issued to a machine                  | 6003 API Activity         | 1 Create          |
| a token was issued to a person, a person logged in | 3002 Authentication     | 1 Logon           |
| a grant was denied                               | that of what was asked    | status_id 2       |
| a token or a family was revoked                  | 6003 API Activity         | 4 Delete          |
| a session ended                                  | 3002 Authentication       | 2 Logoff          |
| a refresh token or a code was used again         | 2004 Detection Finding    | 1 Create          |
| an event was set aside                           | 2004 Detection Finding    | 1 Create          |
| the log went back                                | 2004 Detection Finding    | 1 Create          |
| a forged token was presented                     | 2004 Detection Finding    | 1 Create          |
| clients, principals, issuers, keys were changed  | 3004 Entity Management    | 1, 3 or 4         |
| anything else                                    | 6003 API Activity         | 99 Other          |
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from domain.client_configuration import CLIENT_CREDENTIALS
from projections.audit_trail import SET_ASIDE, SUCCESS, AuditEntry
from projections.sentences import sentence

VERSION = "1.8.0"
_PRODUCT = {"name": "Grantledger", "vendor_name": "Grantledger"}
_CREATE, _UPDATE, _DELETE, _LOGON, _LOGOFF, _OTHER = 1, 3, 4, 1, 2, 99
_INFORMATIONAL, _LOW, _HIGH, _CRITICAL = 1, 2, 4, 5
_API, _AUTHENTICATION, _FINDING, _ENTITY = 6003, 3002, 2004, 3004
_ENTITIES = frozenset({"client", "principal", "issuer", "key", "initial_access"})
_CREATED = frozenset({"registered", "added", "generated", "issued"})
_ENDED = frozenset({"removed", "revoked", "retired", "disabled", "deactivated"})


class _Kind(NamedTuple):
    class_uid: int
    activity_id: int
    severity_id: int = _INFORMATIONAL


def ocsf_event(entry: AuditEntry) -> dict[str, Any]:
    """Return the event; times are milliseconds since 1970, as OCSF has them."""
    kind = _kind(entry)
    status = 1 if entry.outcome == SUCCESS else 2
    return {
        "metadata": {
            "version": VERSION,
            "product": _PRODUCT,
            "uid": str(entry.position),
            "sequence": entry.position,
            "event_code": entry.topic,
            "logged_time": _milliseconds(entry.recorded_at),
            **({"correlation_uid": entry.request_id} if entry.request_id else {}),
        },
        "time": _milliseconds(entry.occurred_at),
        "class_uid": kind.class_uid,
        "category_uid": kind.class_uid // 1000,
        "activity_id": kind.activity_id,
        "type_uid": kind.class_uid * 100 + kind.activity_id,
        "severity_id": kind.severity_id,
        "status_id": status,
        **({"status_detail": entry.reason} if entry.reason else {}),
        "message": sentence(entry),
        "actor": _actor(entry),
        "src_endpoint": {"uid": entry.address or "unknown"},
        **_OF_CLASS[kind.class_uid](entry),
        "unmapped": {**entry.detail, "topic": entry.topic},
    }


_KINDS: Mapping[str, _Kind] = {
    "family.reuse_detected": _Kind(_FINDING, _CREATE, _HIGH),
    "code.replayed": _Kind(_FINDING, _CREATE, _HIGH),
    SET_ASIDE: _Kind(_FINDING, _CREATE, _HIGH),
    "log.went_back": _Kind(_FINDING, _CREATE, _HIGH),
    "forged_token.presented": _Kind(_FINDING, _CREATE, _CRITICAL),
    "session.started": _Kind(_AUTHENTICATION, _LOGON),
    "session.authenticated": _Kind(_AUTHENTICATION, _LOGON),
    "session.ended": _Kind(_AUTHENTICATION, _LOGOFF),
    "token.revoked": _Kind(_API, _DELETE),
    "family.revoked": _Kind(_API, _DELETE),
    "client.used": _Kind(_API, _OTHER),
}
_TITLES = {
    "family.reuse_detected": "A refresh token was used again",
    "code.replayed": "An authorization code was used again",
    SET_ASIDE: "An event cannot be shown",
    "log.went_back": "The log went back",
    "forged_token.presented": "A signing key has leaked: a forged token was presented",
}
_SEVERITY = {"token.issued": _INFORMATIONAL, "grant.denied": _LOW}


def _kind(entry: AuditEntry) -> _Kind:
    family, _, act = entry.topic.partition(".")
    if entry.topic in _SEVERITY:
        severity = _SEVERITY[entry.topic]
        if _of_machine(entry):
            return _Kind(_API, _CREATE, severity)
        return _Kind(_AUTHENTICATION, _LOGON, severity)
    if entry.topic not in _KINDS and family in _ENTITIES:
        return _Kind(_ENTITY, _activity(act))
    return _KINDS.get(entry.topic, _Kind(_API, _OTHER))


def _activity(act: str) -> int:
    if act in _CREATED:
        return _CREATE
    return _DELETE if act in _ENDED else _UPDATE


def _of_machine(entry: AuditEntry) -> bool:
    return entry.grant_type in (CLIENT_CREDENTIALS, None) or entry.subject == entry.client_id


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _actor(entry: AuditEntry) -> dict[str, Any]:
    user = entry.actor or entry.subject or entry.client_id or "unknown"
    return {
        "user": {"uid": user, "name": user},
        **({"app_uid": entry.client_id} if entry.client_id else {}),
        **({"session": {"uid": entry.session_id}} if entry.session_id else {}),
    }


def _of_api(entry: AuditEntry) -> dict[str, Any]:
    return {
        "api": {
            "operation": entry.topic,
            **({"request": {"uid": entry.request_id}} if entry.request_id else {}),
        },
        **({"resources": [{"uid": str(entry.jti), "type": "token"}]} if entry.jti else {}),
    }


def _of_authentication(entry: AuditEntry) -> dict[str, Any]:
    user = entry.subject or "unknown"
    return {
        "user": {"uid": user, "name": user},
        "auth_protocol": "OAuth 2.0",
        "auth_protocol_id": 99,
        "service": {"uid": entry.client_id or "grantledger"},
        **({"session": {"uid": entry.session_id}} if entry.session_id else {}),
    }


def _of_finding(entry: AuditEntry) -> dict[str, Any]:
    return {
        "finding_info": {
            "uid": entry.family_id or entry.session_id or str(entry.position),
            "title": _TITLES[entry.topic],
            "created_time": _milliseconds(entry.occurred_at),
        }
    }


def _of_entity(entry: AuditEntry) -> dict[str, Any]:
    kind = entry.topic.partition(".")[0]
    uid = entry.client_id or entry.subject or entry.kid or str(entry.detail.get("issuer", kind))
    return {
        "entity": {"uid": uid, "name": uid, "type": kind},
        **({"comment": entry.reason} if entry.reason else {}),
    }


_OF_CLASS: Mapping[int, Any] = {
    _API: _of_api,
    _AUTHENTICATION: _of_authentication,
    _FINDING: _of_finding,
    _ENTITY: _of_entity,
}
