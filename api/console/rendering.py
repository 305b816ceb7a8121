"""How values look on the pages of the console.

Whatever clients and people can put into the log is shown to auditors: each value is escaped (the
templates do), control characters are made visible, and characters that turn the direction of a
line, by which a text reads as another one, as well.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from markupsafe import Markup, escape

from api.pages.rendering import Pages
from projections.audit_trail import AuditEntry

# Zero-width and bidirectional controls (Unicode Standard Annex #9, Section 2) besides Cc.
_INVISIBLE = (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_CONTROLS = (*range(0x20), 0x7F, *range(0x80, 0xA0))
_KEPT = (0x09, 0x0A)
_HARMLESS = {
    code: chr(0x2400 + code) if code < 0x20 else f"\N{LEFT CEILING}U+{code:04X}\N{RIGHT FLOOR}"
    for code in (*_CONTROLS, *_INVISIBLE)
    if code not in _KEPT
}


def harmless(value: Any) -> Any:
    """Return a value with what nobody would see made visible; markup of our own as it is."""
    if value is None or isinstance(value, Markup):
        return "" if value is None else value
    return str(value).translate(_HARMLESS)


def time_of(moment: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
    """Return a moment as a <time> element, in UTC and to the second."""
    if moment is None:
        return Markup("")
    utc = moment.astimezone(UTC)
    machine = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        machine, machine, utc.strftime(form)
    )


def raw_json(entry: AuditEntry) -> str:
    """Return the whole entry as JSON, escaped beyond ASCII, so that nothing hides."""
    facts = {name: value for name, value in asdict(entry).items() if value is not None}
    return json.dumps(facts, indent=2, default=_plain)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def short(value: UUID | str | None) -> str:
    """Return the end of an id, which is what differs between ids made one after the other."""
    text = str(value or "")
    return text if len(text) <= 13 else f"\N{HORIZONTAL ELLIPSIS}{text[-12:]}"


def client_path(client_id: str) -> str:
    """Return the path of a client's page; a URL is encoded twice (api.admin_requests)."""
    once = quote(client_id, safe="")
    return f"/console/clients/{quote(once, safe='') if '/' in client_id else once}"


def number(value: int | None) -> str:
    """Return a count with a thin space between thousands."""
    return "" if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def data_of(value: Any) -> Markup:
    """Return a value as JSON for an attribute that a script of ours reads."""
    return escape(json.dumps(value, separators=(",", ":")))


_FILTERS: Mapping[str, Any] = {
    "time": time_of,
    "raw": raw_json,
    "short": short,
    "number": number,
    "client_path": client_path,
    "data": data_of,
}


def console_pages() -> Pages:
    """Return the templates with what the pages of the console need."""
    return Pages(finalize=harmless, filters=_FILTERS)
