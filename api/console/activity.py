"""Windows of time, and what happened in each of their steps: what the charts draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from projections.activity import Bucket


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time up to now, in `steps` of the length `step`."""

    name: str
    title: str
    step: timedelta
    steps: int

    def since(self, now: datetime) -> datetime:
        """Return the beginning: whole steps, so that a chart does not flicker from call to call."""
        seconds = int(self.step.total_seconds())
        end = (int(now.timestamp()) // seconds + 1) * seconds
        return datetime.fromtimestamp(end - seconds * self.steps, tz=now.tzinfo)


WINDOWS: Mapping[str, Window] = {
    window.name: window
    for window in (
        Window("1h", "Last hour", timedelta(minutes=1), 60),
        Window("24h", "Last 24 hours", timedelta(minutes=30), 48),
        Window("7d", "Last 7 days", timedelta(hours=4), 42),
        Window("30d", "Last 30 days", timedelta(days=1), 30),
    )
}
DAY = WINDOWS["24h"]


def series(window: Window, buckets: Sequence[Bucket], now: datetime) -> dict[str, list[int]]:
    """Return the columns of a chart: moments in seconds since 1970, and a count for each."""
    by_number = {bucket.number: bucket for bucket in buckets}
    empty = Bucket(0, 0, 0, 0, 0)
    found = [by_number.get(number, empty) for number in range(window.steps)]
    begin, step = int(window.since(now).timestamp()), int(window.step.total_seconds())
    return {
        "times": [begin + number * step for number in range(window.steps)],
        "issued": [bucket.issued for bucket in found],
        "denied": [bucket.denied for bucket in found],
        "revoked": [bucket.revoked for bucket in found],
        "reused": [bucket.reused for bucket in found],
    }


def table(columns: Mapping[str, Sequence[int]], now: datetime) -> list[dict[str, Any]]:
    """Return the same as rows for a table: the steps in which anything happened."""
    names = ("issued", "denied", "revoked", "reused")
    rows = [
        {"time": datetime.fromtimestamp(moment, tz=now.tzinfo)}
        | {name: columns[name][number] for name in names}
        for number, moment in enumerate(columns["times"])
    ]
    return [row for row in rows if any(row[name] for name in names)]
