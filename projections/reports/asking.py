"""A report is asked: parameters read, the prefix of the log found, its SQL run, the answer made.

The steps are a generator of queries, so that blocking and async code ask in the same way, and so
that another engine can answer the last of them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.issuance import DeploymentPolicy
from projections.as_of import AsOf, resolve
from projections.query import Asking, Query
from projections.reports.engines import parameters, postgres_statement
from projections.reports.parameters import given_values
from projections.reports.report import Answer, Kind, Report, Row


class TooManyRows(ValueError):
    """The answer is larger than whoever asks wants it."""


def answering(
    report: Report,
    given: Mapping[str, str],
    asked: int | datetime | None,
    *,
    now: datetime,
    policy: DeploymentPolicy,
    max_rows: int | None = None,
) -> Asking[Answer]:
    """Ask query after query and return the answer to `report` as of `asked`, None for now.

    `policy` is what the deployment adds to the decisions that a report takes again. Raises
    UnusableParameter, and TooManyRows past `max_rows`.
    """
    values = given_values(report, given, now=now)
    as_of = yield from resolve(asked, now=now)
    bounds = yield from _bounds(report, values, now)
    limit = None if max_rows is None else max_rows + 1
    statement = postgres_statement(report, limit=limit)
    rows: list[Row] = yield Query(statement, parameters(as_of, {**values, **bounds}), _row)
    if max_rows is not None and len(rows) > max_rows:
        raise TooManyRows(
            f"the answer has more than {max_rows} rows: narrow it, or ask on the command line:"
            f" grantledger report {report.name}"
        )
    live: list[Any] = []
    if report.live is not None and asked is None:
        live = yield report.live
    return made_answer(report, values, as_of, rows, made_at=now, policy=policy, live=live)


def _bounds(report: Report, values: dict[str, Any], now: datetime) -> Asking[dict[str, int | None]]:
    """Make moments of positions in `values`; return the positions that the SQL names.

    Many events are recorded at one moment, so that a moment cannot stand for a position: SQL that
    has to part the log exactly at `since` asks for `since_position`.
    """
    bounds: dict[str, int | None] = {}
    for name in (one.name for one in report.parameters if one.kind is Kind.MOMENT):
        given, bound = values[name], f"{name}_position"
        named = f"%({bound})s" in report.sql
        if named:
            bounds[bound] = None
        if given is not None and (named or isinstance(given, int)):
            point = yield from resolve(given, now=now)
            values[name] = point.moment if isinstance(given, int) else given
            if named:
                bounds[bound] = point.position
    return bounds


def made_answer(
    report: Report,
    values: Mapping[str, Any],
    as_of: AsOf,
    rows: list[Row],
    *,
    made_at: datetime,
    policy: DeploymentPolicy,
    live: Sequence[Any] = (),
) -> Answer:
    """Return the answer that the `rows` of the SQL lead to; `live` is what only now is known."""
    if report.evaluate is not None:
        seen = {**parameters(as_of, values), "policy": policy, "live": live}
        return Answer(report, as_of, made_at, report.evaluate(rows, seen), values)
    return Answer(report, as_of, made_at, rows, values)


def _row(**columns: Any) -> Row:
    # One spelling of a moment, whatever time zone the session has.
    return tuple(
        value.astimezone(UTC) if isinstance(value, datetime) else value
        for value in columns.values()
    )
