"""Asks a report of the read model and of an export, which must answer the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from duckdb import DuckDBPyConnection
from psycopg import Connection

from domain.issuance import DeploymentPolicy
from projections.export.exporting import export
from projections.export.parts import PositionRange
from projections.query import Asking, answered
from projections.reports.asking import answering
from projections.reports.duckdb_engine import answered as answered_in_export
from projections.reports.duckdb_engine import opened_export
from projections.reports.report import Answer, Report, Row
from tests.builders import POLICY
from tests.projections.export.exports import ISSUER

LATER = datetime(2030, 1, 1, tzinfo=UTC)


def write_export(session: Connection[Any], directory: Path) -> None:
    """Export the audit trail as it is into `directory`."""
    (last,) = session.execute("SELECT max(position) FROM read.audit_trail").fetchall()[0]
    everything = PositionRange(1, last)
    export(session.info.dsn, directory, everything, issuer=ISSUER, announce=lambda *_: None)


@contextmanager
def exported(session: Connection[Any]) -> Iterator[DuckDBPyConnection]:
    """Export the audit trail as it is and open it."""
    with TemporaryDirectory() as directory:
        write_export(session, Path(directory))
        with opened_export(Path(directory)) as connection:
            yield connection


def answers(
    session: Connection[Any],
    opened: DuckDBPyConnection,
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

    in_postgres, in_duckdb = answered(asking(), session), answered_in_export(asking(), opened)
    assert in_duckdb.as_of == in_postgres.as_of
    return list(in_postgres.rows), list(in_duckdb.rows)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def asked(session: Connection[Any], report: Report, **how: Any) -> list[Row]:
    """Return what both engines answer; see `answers`."""
    with exported(session) as opened:
        postgres, duckdb = answers(session, opened, report, **how)

    assert typed(duckdb) == typed(postgres)
    return postgres


def typed(rows: list[Row]) -> list[list[tuple[type, Any]]]:
    """Return `rows` so that 1 and 1.0 differ."""
    return [[(type(value), value) for value in row] for row in rows]
