"""Report 1, client-history: a client's configuration at one moment, and each change up to another.

The rows `at` tell the configuration at the position that `since` stands for; the rows `change` what
each later event put in the place of what, up to the moment asked for. What an event says is folded
as its topic defines it: a fact counts until the next event that says it anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from projections.reports.client_state import CLIENT_EVENTS
from projections.reports.report import Column, Kind, Parameter, Report, Row

_ENABLED = {
    "client.registered": True,
    "client.enabled": True,
    "client.disabled": False,
}
_SECRET = {"client.secret_added": "added", "client.secret_retired": "retired"}
_OWNER = frozenset({"client.registered", "client.owner_changed"})


class _Act(NamedTuple):
    position: int
    occurred_at: datetime
    actor: str | None
    reason: str | None
    topic: str
    detail: Mapping[str, Any]
    earlier: bool


def _history(rows: Sequence[Row], _values: Mapping[str, Any]) -> Sequence[Row]:
    state: dict[str, Any] = {}
    acts = [_Act(*row) for row in rows]
    for act in acts:
        if act.earlier:
            state.update(_said(act))
    found: list[Row] = [
        ("at", None, None, None, None, None, name, None, _text(value))
        for name, value in sorted(state.items())
    ]
    for act in acts:
        if not act.earlier:
            found += _changes(act, state)
    return found


def _changes(act: _Act, state: dict[str, Any]) -> Iterator[Row]:
    who = (act.position, act.occurred_at, act.actor, act.reason, act.topic)
    for name, value in sorted(_said(act).items()):
        before = state.get(name)
        state[name] = value
        if before != value:
            yield ("change", *who, name, _text(before), _text(value))


def _said(act: _Act) -> dict[str, Any]:
    """Return what the event says about the client, by field."""
    if act.topic in _SECRET:
        secret = act.detail["secret_id"]
        until = act.detail.get("usable_until")
        return {
            f"secret {secret}": _SECRET[act.topic] + (f", usable until {until}" if until else "")
        }
    if act.topic == "client.registration_token_set":
        return {"registration token": f"set at position {act.position}"}
    said = {name: value for name, value in act.detail.items() if name != "pepper_id"}
    if act.topic in _OWNER:
        said.setdefault("owner", None)
    if act.topic in _ENABLED:
        said["enabled"] = _ENABLED[act.topic]
    return said


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value, order="sorted").decode()


CLIENT_HISTORY = Report(
    number=1,
    name="client-history",
    title="Client history",
    question="How was a client configured at a moment, and who changed what since, and why?",
    asked_by="PCI DSS 10.2.1.5, SOC 2",
    columns=(
        Column("section", "at: the configuration at `since`; change: what was changed later"),
        Column("position", "The event, by its position"),
        Column("occurred_at", "When it was changed (UTC)"),
        Column("actor", "Who changed it"),
        Column("reason", "The reason that was given"),
        Column("topic", "What kind of change it was"),
        Column("field", "What was changed"),
        Column("before", "What it was; lists and objects as JSON"),
        Column("after", "What it is from then on"),
    ),
    parameters=(
        Parameter("client_id", Kind.TEXT, "The client", required=True),
        Parameter("since", Kind.MOMENT, "Show the configuration then, and the changes since"),
    ),
    evaluate=_history,
    sql=f"""
WITH {CLIENT_EVENTS}
SELECT position, occurred_at, actor, reason, topic, detail,
    coalesce(position <= CAST(%(since_position)s AS bigint), false) AS earlier
FROM client_events
WHERE client_id = %(client_id)s
ORDER BY position
""",
)
