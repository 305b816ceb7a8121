"""How a report's SQL is run, by PostgreSQL over the read model or by DuckDB over an export."""

from collections.abc import Mapping
from typing import Any

from psycopg.sql import SQL, Composed

from projections.as_of import AsOf
from projections.reports.report import Report

_EVENTS = (
    # Not materialized: each use of the relation finds its own index.
    "WITH events AS NOT MATERIALIZED (SELECT * FROM {source} WHERE position <= %(as_of)s){more}"
)


def statement(report: Report, *, source: str) -> str:
    """Return the whole SQL of `report` over the relation `source`.

    A report that begins with WITH goes on with the relations of its own.
    """
    own = report.sql.strip()
    if own[:5].upper() == "WITH ":
        return _EVENTS.format(source=source, more=",\n") + own[5:]
    return _EVENTS.format(source=source, more="\n") + own


def parameters(as_of: AsOf, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the statement names."""
    return {**given, "as_of": as_of.position, "moment": as_of.moment}


def postgres_statement(report: Report, *, limit: int | None = None) -> Composed:
    """Return the statement for PostgreSQL, of at most `limit` rows."""
    whole = statement(report, source="read.audit_trail")
    if limit is not None:
        whole = f"SELECT * FROM ({whole}) AS answer LIMIT {limit}"
    return Composed([SQL(whole)])
