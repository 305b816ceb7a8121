"""Report 11, issuance: tokens by client, grant type and day, and what was to be expected.

A day is one of UTC, by the moment of recording. What is expected of a day are the `baseline` days
before it, as far as the client had begun with that grant type; fewer than KNOWN of these give no
expectation, and the day is `new`. From their counts, in this order:

    middle = median of the counts: of an even number, half the sum of the two in the middle
    spread = median of |count - middle|
    width  = the largest of `width` x spread, middle / 10, and LEAST tokens
    lower  = max(0, middle - width)        upper = middle + width

A count above `upper` or below `lower` is flagged; the day of the moment itself is not over, and is
flagged only above. Medians hold where one day was wild, as means would not. A spread of 5 is near
3.4 standard deviations where counts are normal; two weeks contain their weekends.

Bounds: one row of numbers a client and grant type is kept in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from projections.reports.parameters import UnusableParameter
from projections.reports.report import Column, Kind, Parameter, Report, Row

KNOWN = 7
"""The fewest days that an expectation rests on."""
LEAST = 10
"""So many tokens more or less are never flagged."""
_EPOCH = date(1970, 1, 1)


class Band(NamedTuple):
    """What is expected of a day, in tokens."""

    middle: float
    spread: float
    lower: float
    upper: float


def expected(counts: Sequence[int], *, width: int) -> Band | None:
    """Return what days with these `counts` let expect; None where they are too few."""
    if len(counts) < KNOWN:
        return None
    middle = float(median(counts))
    spread = float(median(abs(count - middle) for count in counts))
    wide = max(width * spread, middle / 10, LEAST)
    return Band(middle, spread, max(0.0, middle - wide), middle + wide)


def verdict(tokens: int, band: Band | None, *, over: bool) -> str:
    """Return how a day with so many tokens is called; `over` tells whether it is."""
    if band is None:
        return "new"
    if tokens > band.upper:
        return "above"
    return "below" if over and tokens < band.lower else "within"


def _days(rows: Sequence[Row], values: Mapping[str, Any]) -> Sequence[Row]:
    wanted = values["verdict"]
    if wanted not in (None, "above", "below", "within", "new"):
        raise UnusableParameter(f"verdict: above, below, within or new, not {wanted!r}")
    return [
        row
        for client_id, grant_type, days, tokens in rows
        for row in _of_series((client_id, grant_type), dict(zip(days, tokens, strict=True)), values)
        if wanted in (None, row[-1])
    ]


def _of_series(
    name: tuple[str, str], counted: Mapping[int, int], values: Mapping[str, Any]
) -> Iterator[Row]:
    moment: datetime = values["moment"]
    today = (moment.astimezone(UTC).date() - _EPOCH).days
    begun = min(counted)
    for day in range(max(begun, today - values["days"] + 1), today + 1):
        known = range(max(begun, day - values["baseline"]), day)
        band = expected([counted.get(one, 0) for one in known], width=values["width"])
        tokens = counted.get(day, 0)
        called = verdict(tokens, band, over=day < today)
        if tokens or called != "within":
            shown = (_EPOCH + timedelta(days=day)).isoformat()
            yield (*name, shown, tokens, *(band or (None,) * 4), len(known), called)


ISSUANCE = Report(
    number=11,
    name="issuance",
    title="Issuance",
    question="How many tokens were issued to each client each day, and was that to be expected?",
    asked_by="PCI DSS 10.4.1.1",
    columns=(
        Column("client_id", "The client"),
        Column("grant_type", "The grant type"),
        Column("day", "The day (UTC); days without tokens where these were expected"),
        Column("tokens", "How many tokens were issued"),
        Column("median", "The median of the days before"),
        Column("spread", "The median deviation from it"),
        Column("lower", "The fewest tokens to be expected"),
        Column("upper", "The most tokens to be expected"),
        Column("known", "How many days the expectation rests on"),
        Column("verdict", "within, above, below, or new: too few days to expect anything"),
    ),
    parameters=(
        Parameter("days", Kind.DAYS, "How many days to tell about", default=30),
        Parameter("baseline", Kind.DAYS, "How many days before each to compare with", default=14),
        Parameter("width", Kind.NUMBER, "How many spreads from the median are flagged", default=5),
        Parameter("verdict", Kind.TEXT, "Only days called so: above, below, within or new"),
        Parameter("client_id", Kind.TEXT, "Only this client"),
    ),
    evaluate=_days,
    sql="""
WITH issued AS (
    SELECT client_id, grant_type,
        CAST(recorded_at AT TIME ZONE 'UTC' AS date) - DATE '1970-01-01' AS day
    FROM events
    WHERE topic = 'token.issued'
        AND recorded_at > %(moment)s - interval '1 day' * (%(days)s + %(baseline)s)
        AND (CAST(%(client_id)s AS text) IS NULL OR client_id = %(client_id)s)
),
counted AS (
    SELECT client_id, grant_type, day, count(*) AS tokens
    FROM issued
    -- The first day is only partly within.
    WHERE day > CAST(CAST(%(moment)s AS timestamptz) AT TIME ZONE 'UTC' AS date)
        - DATE '1970-01-01' - (%(days)s + %(baseline)s)
    GROUP BY client_id, grant_type, day
)
SELECT client_id, grant_type, array_agg(day ORDER BY day) AS days,
    array_agg(tokens ORDER BY day) AS tokens
FROM counted
GROUP BY client_id, grant_type
ORDER BY client_id COLLATE "C", grant_type COLLATE "C"
""",
)
