"""Asks a report of the read model and of an export, which must answer the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from psycopg import Connection
from psycopg.rows import dict_row

from domain.issuance import DeploymentPolicy
from projections.as_of import AsOf, resolve
from projections.reports.duckdb_engine import ask_duckdb, opened_export
from projections.reports.engines import ask_postgres, parameters
from projections.reports.report import Report, Row
from tests.builders import POLICY

LATER = datetime(2030, 1, 1, tzinfo=UTC)
_LISTS = ("scope", "audience", "actors")
_MOMENTS = ("occurred_at", "recorded_at", "expires_at")
_TEXTS = (
    "topic",
    "outcome",
    "client_id",
    "subject",
    "jti",
    "session_id",
    "grant_type",
    "error",
    "reason",
    "actor",
    "kid",
    "address",
    "request_id",
    "traceparent",
    "family_id",
    "detail",
)
SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        *((name, pa.timestamp("us", tz="UTC")) for name in _MOMENTS),
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.list_(pa.string())) for name in _LISTS),
    ]
)


@contextmanager
def exported(session: Connection[Any]) -> Iterator[DuckDBPyConnection]:
    """Export the audit trail as it is and open it."""
    columns = ", ".join(
        f"{name}::text" if name in ("jti", "detail") else name for name in SCHEMA.names
    )
    with session.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(f"SELECT {columns} FROM read.audit_trail").fetchall()
    with TemporaryDirectory() as directory:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, Path(directory) / "events.parquet")
        with opened_export(Path(directory)) as connection:
            yield connection


def answers(
    session: Connection[Any],
    export: DuckDBPyConnection,
    report: Report,
    *,
    as_of: int | datetime,
    policy: DeploymentPolicy = POLICY,
    **given: Any,
) -> tuple[list[Row], list[Row]]:
    """Return what PostgreSQL and what DuckDB answers; `as_of` may be in the future."""
    known = {one.name: given.get(one.name, one.default) for one in report.parameters}
    values = parameters(_resolved(session, as_of), known) | {"policy": policy}
    answered = ask_postgres(session, report, values), ask_duckdb(export, report, values)
    if report.evaluate is None:
        return answered
    first, second = (list(report.evaluate(rows, values)) for rows in answered)
    return first, second


def asked(session: Connection[Any], report: Report, **how: Any) -> list[Row]:
    """Return what both engines answer; see `answers`."""
    with exported(session) as export:
        postgres, duckdb = answers(session, export, report, **how)

    assert typed(duckdb) == typed(postgres)
    return postgres


def typed(rows: list[Row]) -> list[list[tuple[type, Any]]]:
    """Return `rows` so that 1 and 1.0 differ."""
    return [[(type(value), value) for value in row] for row in rows]


def _resolved(session: Connection[Any], as_of: int | datetime) -> AsOf:
    asking = resolve(as_of, now=LATER)
    query = next(asking)
    while True:
        try:
            query = asking.send(query.fetch(session))
        except StopIteration as done:
            point: AsOf = done.value
            return point
