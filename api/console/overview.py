"""The first page: the last day at a glance, and the log as it grows."""

import asyncio

from litestar import Response

from api.console.activity import DAY, series
from api.console.desk import Sight
from api.console.rendering import sentence
from api.visit import AnyResponse
from application.errors import InvalidRequest
from projections import audit_trail
from projections.activity import over_time
from projections.audit_trail import AuditEntry
from projections.event_filter import EventFilter

TAIL_ENTRIES = 25
TAIL_PATH = "/console/tail"
_MAX_POSITION = 2**62


async def page(sight: Sight) -> AnyResponse:
    """Show counts, a chart and the newest entries."""
    models, now = sight.service.read_models, sight.now
    since = DAY.since(now)
    buckets, entries, status, alarms = await asyncio.gather(
        models.fetch(over_time(since=since, until=now, step=DAY.step)),
        models.fetch(audit_trail.search(newest_first=True, limit=TAIL_ENTRIES)),
        models.projection_status(),
        sight.service.alarms(),
    )
    columns = series(DAY, buckets, now)
    return sight.render(
        "overview.html",
        columns=columns,
        totals={name: sum(values) for name, values in columns.items() if name != "times"},
        entries=entries,
        sentence=sentence,
        newest=entries[0].position if entries else 0,
        lag=max((one.lag_events for one in status), default=0),
        now=now,
        alarms=alarms,
    )


async def tail(sight: Sight) -> AnyResponse:
    """Answer htmx with what was recorded since the position `after`: 204 where nothing was."""
    after = position_of(sight.form.get("after"), "after") or 0
    found = await sight.service.read_models.fetch(
        audit_trail.search(EventFilter(after=after), newest_first=True, limit=TAIL_ENTRIES)
    )
    # Else open pages would read of their own and each other's reading, and that would be recorded,
    # for ever. All that is shown is recorded, other reads included.
    entries = [entry for entry in found if not _is_of_a_tail(entry)]
    if not entries:
        return Response(None, status_code=204, headers={"Cache-Control": "no-store"})
    sight.note(TAIL_PATH, after=str(after))
    return sight.render("tail.html", entries=entries, sentence=sentence, newest=found[0].position)


def _is_of_a_tail(entry: AuditEntry) -> bool:
    return entry.topic == "audit.read" and entry.detail.get("what") == TAIL_PATH


def position_of(text: str | None, name: str) -> int | None:
    """Return a position of the log out of a query. Raises InvalidRequest."""
    if text is None:
        return None
    # isdecimal alone would take the digits of other scripts.
    # Twenty digits at most are made a number: Python refuses to read thousands of them.
    digits = text.isascii() and text.isdecimal() and len(text) <= 20
    if not digits or int(text) > _MAX_POSITION:
        raise InvalidRequest(f"{name} is no position of the log")
    return int(text)
