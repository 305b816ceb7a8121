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
from projections.query import Asking, answered
from projections.reports.asking import answering
from projections.reports.duckdb_engine import answered as answered_in_export
from projections.reports.duckdb_engine import opened_export
from projections.reports.report import Answer, Report, Row
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


def write_export(session: Connection[Any], directory: Path) -> None:
    """Write the audit trail as it is into `directory`."""
    columns = ", ".join(
        f"{name}::text" if name in ("jti", "detail") else name for name in SCHEMA.names
    )
    with session.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(f"SELECT {columns} FROM read.audit_trail").fetchall()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), directory / "events.parquet")


@contextmanager
def exported(session: Connection[Any]) -> Iterator[DuckDBPyConnection]:
    """Export the audit trail as it is and open it."""
    with TemporaryDirectory() as directory:
        write_export(session, Path(directory))
        with opened_export(Path(directory)) as connection:
            yield connection


def answers(
    session: Connection[Any],
    export: DuckDBPyConnection,
    report: Report,
    *,
    as_of: int | datetime,
    policy: DeploymentPolicy = POLICY,
    **given: object,
) -> tuple[list[Row], list[Row]]:
    """Return what PostgreSQL and what DuckDB answers; `as_of` may be in the future."""
    texts = {name: _text(value) for name, value in given.items()}

    def asking() -> Asking[Answer]:
        return answering(report, texts, as_of, now=LATER, policy=policy)

    in_postgres, in_duckdb = answered(asking(), session), answered_in_export(asking(), export)
    assert in_duckdb.as_of == in_postgres.as_of
    return list(in_postgres.rows), list(in_duckdb.rows)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def asked(session: Connection[Any], report: Report, **how: Any) -> list[Row]:
    """Return what both engines answer; see `answers`."""
    with exported(session) as export:
        postgres, duckdb = answers(session, export, report, **how)

    assert typed(duckdb) == typed(postgres)
    return postgres


def typed(rows: list[Row]) -> list[list[tuple[type, Any]]]:
    """Return `rows` so that 1 and 1.0 differ."""
    return [[(type(value), value) for value in row] for row in rows]
