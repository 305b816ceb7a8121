"""Search: every filter of the audit trail, page by page; and one field that finds by any id."""

import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.console.desk import Sight
from api.console.overview import position_of
from api.console.rendering import client_path, sentence
from api.visit import AnyResponse, path_with, redirect
from application.errors import InvalidRequest
from domain.client_configuration import GRANT_TYPES
from projections import audit_trail
from projections.audit_trail import OUTCOMES, SET_ASIDE, AuditEntry
from projections.event_filter import EventFilter

SEARCH_PATH = "/console/search"
PAGE_ENTRIES = 50
_TEXTS = (
    "client_id",
    "subject",
    "actor",
    "family_id",
    "session_id",
    "grant_type",
    "outcome",
    "address",
    "topic",
)
_CURSORS = ("after", "before")
_ADDRESS = re.compile(r"[0-9a-fA-F:.]*[:.][0-9a-fA-F:.]*")
_MAX_CHARACTERS = 512


async def page(sight: Sight) -> AnyResponse:
    """Show the form, and the entries that fit, the newest first."""
    which = filter_of(sight)
    # One more than is shown tells whether there is another page.
    forward = which.after is not None and which.before is None
    found = await sight.service.read_models.fetch(
        audit_trail.search(which, newest_first=not forward, limit=PAGE_ENTRIES + 1)
    )
    more, shown = len(found) > PAGE_ENTRIES, found[:PAGE_ENTRIES]
    entries = shown[::-1] if forward else shown
    given = {
        field.name: text
        for field in fields(EventFilter)
        if field.name not in _CURSORS and (text := sight.form.get(field.name))
    }
    return sight.render(
        "search.html",
        given=given,
        entries=entries,
        sentence=sentence,
        older=_beside(given, entries, "before") if more or forward else None,
        newer=_beside(given, entries, "after") if _newer(which, more) else None,
        topics=sorted({*OUTCOMES, SET_ASIDE}),
        grant_types=GRANT_TYPES,
    )


def _newer(which: EventFilter, more: bool) -> bool:
    return which.before is not None or (which.after is not None and more)


def _beside(given: dict[str, str], entries: list[AuditEntry], cursor: str) -> str | None:
    if not entries:
        return None
    edge = entries[-1] if cursor == "before" else entries[0]
    return path_with(SEARCH_PATH, **given, **{cursor: str(edge.position)})


def filter_of(sight: Sight) -> EventFilter:
    """Return the filters that the query names. Raises InvalidRequest for what none can be."""
    form = sight.form
    texts = {name: _text(form.get(name), name) for name in _TEXTS}
    if texts["address"] and not sight.service.settings.keep_network_data:
        texts["address"] = _recorded_address(sight, texts["address"])
    values: dict[str, Any] = {
        **texts,
        "jti": _uuid(form.get("jti")),
        "since": moment_of(form.get("since"), "since"),
        "until": moment_of(form.get("until"), "until"),
        **{name: position_of(form.get(name), name) for name in _CURSORS},
    }
    return EventFilter(**values)


def _recorded_address(sight: Sight, address: str) -> str:
    """Return an address as the log knows it: hashed, unless it was typed like that."""
    plain = _ADDRESS.fullmatch(address)
    return sight.service.peppers.pseudonym(address) if plain else address


def _text(text: str | None, name: str) -> str | None:
    # PostgreSQL fails on U+0000: the asker's mistake.
    if text is not None and ("\0" in text or len(text) > _MAX_CHARACTERS):
        raise InvalidRequest(f"{name} is nothing that is recorded")
    return text.strip() or None if text else None


def _uuid(text: str | None) -> UUID | None:
    if not text or not text.strip():
        return None
    try:
        return UUID(text.strip())
    except ValueError:
        raise InvalidRequest("jti is the id of a token, a UUID") from None


def moment_of(text: str | None, name: str) -> datetime | None:
    """Return a moment out of a form, in UTC unless it says otherwise. Raises InvalidRequest."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is no moment: 2026-03-02T09:30 is one") from None


async def find(sight: Sight) -> AnyResponse:
    """Send the auditor to what an id names: a position, a token, a family, a session, a client; a
    subject otherwise.
    """
    wanted = (_text(sight.form.get("q"), "q") or "").strip()
    if not wanted:
        return redirect(SEARCH_PATH)
    if wanted.isascii() and wanted.isdecimal() and len(wanted) <= 18:
        return redirect(f"/console/events/{wanted}")
    if wanted.startswith("sess_"):
        return redirect(path_with(SEARCH_PATH, session_id=wanted))
    try:
        return redirect(await _of_uuid(sight, UUID(wanted)))
    except ValueError:
        pass
    if sight.service.directory.client(wanted) is not None:
        return redirect(client_path(wanted))
    return redirect(path_with(SEARCH_PATH, subject=wanted))


async def _of_uuid(sight: Sight, named: UUID) -> str:
    of_family = await sight.service.read_models.fetch(
        audit_trail.search(EventFilter(family_id=str(named)), limit=1)
    )
    return f"/console/families/{named}" if of_family else f"/console/tokens/{named}"
