"""One English sentence a person understands for every event of the audit trail.

Names come from outside: characters in them that nobody sees become "?", so that no name drives the
terminal of whoever reads it, what is too long is cut, and a name that runs from right to left
stands between isolates (U+2068, U+2069), which no name itself holds.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from domain.forgery_log import MANY, NOT_RECORDED
from domain.recorded import moment
from domain.visible_text import is_hidden, isolated
from projections.audit_trail import SET_ASIDE, AuditEntry
from projections.sentence_templates import STOOD_IN, TEMPLATES

_LONGEST = 200
_PART = re.compile(r"\[([^\]]*)\]")
_FACT = re.compile(r"\{(\w+)\}")
_FORMS = {"access_token": "an access token", "id_jag": "an identity assertion (ID-JAG)"}
_CALLERS = {
    None: "A caller without a client id",
    "?": "An unregistered client",
    "*": "Many clients",
}
_ISO_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def sentence(entry: AuditEntry) -> str:
    """Return what happened, in one sentence without control characters."""
    template = STOOD_IN if entry.topic == SET_ASIDE else TEMPLATES[entry.topic]
    return _FACT.sub(
        lambda found: _word(entry, found[1]) or "(unknown)",
        _PART.sub(lambda part: _optional(entry, part[1]), template),
    )


def _optional(entry: AuditEntry, part: str) -> str:
    return part if all(_word(entry, name) for name in _FACT.findall(part)) else ""


def _word(entry: AuditEntry, name: str) -> str:
    made = _MADE.get(name)
    if made is not None:
        return _shown(made(entry))
    value = getattr(entry, name, None)
    return _shown(entry.detail.get(name) if value is None else value)


def _shown(value: Any) -> str:
    harmless = "".join("?" if is_hidden(one) else one for one in _written(value))
    return isolated(harmless if len(harmless) <= _LONGEST else f"{harmless[: _LONGEST - 3]}...")


def _written(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return moment(value)
        case list() | tuple():
            return " ".join(_written(part) for part in value)
        case Mapping():
            return " ".join(f"{name}={_written(part)}" for name, part in value.items())
        case str() if _ISO_MOMENT.fullmatch(value):
            return f"{value[:10]} {value[11:19]}Z"
        case _:
            return str(value)


def _times(entry: AuditEntry) -> str:
    count = int(entry.detail.get("count", 1))
    return "" if count == 1 else f"{count:,} times"


def _caller(entry: AuditEntry) -> str:
    return _CALLERS.get(entry.client_id) or f"Client {entry.client_id}"


def _acting(entry: AuditEntry) -> str:
    return " for ".join(entry.actors or ())


def _forgery(entry: AuditEntry) -> str:
    differs = [str(name) for name in entry.detail.get("differs", ())]
    if NOT_RECORDED in differs:
        return "this service did not issue"
    if differs == [MANY]:
        return "is not as recorded"
    return f"is not as recorded in {', '.join(differs)}" if differs else ""


_MADE: Mapping[str, Callable[[AuditEntry], Any]] = {
    "a_token": lambda entry: _FORMS.get(str(entry.detail.get("form")), "an access token"),
    "actors": _acting,
    "set_aside_topic": lambda entry: entry.detail.get("topic"),
    "caller": _caller,
    "forgery": _forgery,
    "grant_types_or_none": lambda entry: entry.detail.get("grant_types") or "none",
    "owner_or_none": lambda entry: entry.detail.get("owner") or "nobody",
    "scopes_or_none": lambda entry: entry.detail.get("scopes") or "none",
    "times": _times,
    "times_or_once": lambda entry: _times(entry) or "once",
    "whom": lambda entry: None if entry.subject == entry.client_id else entry.subject,
    "with_descendants": lambda entry: (
        " with all that descend from it" if entry.detail.get("descendants") else None
    ),
}
