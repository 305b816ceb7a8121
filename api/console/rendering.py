"""How values look on the pages of the console.

Whatever clients and people can put into the log is shown to auditors: each value is escaped and
made harmless (api.pages.rendering).
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
from projections import sentences
from projections.audit_trail import AuditEntry


def time_of(moment: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
    """Return a moment as a <time> element, in UTC and to the second."""
    if moment is None:
        return Markup("")
    utc = moment.astimezone(UTC)
    machine = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        machine, machine, utc.strftime(form)
    )


def sentence(entry: AuditEntry) -> Markup:
    """Return what happened, each name that runs from right to left in a <bdi> of its own."""
    begins, ends = Markup("<bdi>"), Markup("</bdi>")
    # Of a Markup it stays one: what is put in is escaped unless it is markup itself.
    text: Markup = escape(sentences.sentence(entry)).replace("\u2068", begins)
    return text.replace("\u2069", ends)


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
    return Pages(filters=_FILTERS)
