"""Charts: what was issued and what was refused, over time and by cause."""

import asyncio

from api.console.activity import DAY, WINDOWS, series, table
from api.console.desk import Sight
from api.visit import AnyResponse
from application.errors import InvalidRequest
from projections.activity import most_frequent, over_time

_RANKINGS = ("issued", "grant_types", "reasons", "refused")


async def page(sight: Sight) -> AnyResponse:
    """Show the window of time that the query names, the last day else."""
    window = WINDOWS.get(sight.form.get("window") or DAY.name)
    if window is None:
        raise InvalidRequest(f"window is one of {', '.join(WINDOWS)}")
    models, now = sight.service.read_models, sight.now
    since = window.since(now)
    buckets, rankings = await asyncio.gather(
        models.fetch(over_time(since=since, until=now, step=window.step)),
        asyncio.gather(
            *(models.fetch(most_frequent(what, since=since, until=now)) for what in _RANKINGS)
        ),
    )
    columns = series(window, buckets, now)
    return sight.render(
        "activity.html",
        window=window,
        windows=WINDOWS.values(),
        columns=columns,
        totals={name: sum(values) for name, values in columns.items() if name != "times"},
        rows=table(columns, now)[::-1],
        rankings=dict(zip(_RANKINGS, rankings, strict=True)),
        since=since,
    )
