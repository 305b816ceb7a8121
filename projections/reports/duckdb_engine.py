"""The second engine: reports answered by DuckDB from an export, without the service's database.

An export (projections.export) is proven whole before it is asked: an answer from files that
somebody changed, or took away, would be worse than none. The SQL of a report is the very same; what
PostgreSQL calls differently is defined here as macros, and answers come back as the Python values
that psycopg gives.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import duckdb
import msgspec
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from projections.export.checking import check
from projections.export.manifest import read_manifest
from projections.query import Asking, Query
from projections.rebuild import Progress, no_progress
from projections.reports.report import Row

T = TypeVar("T")

_MACROS = (
    "CREATE MACRO jsonb_array_elements_text(j) AS unnest(from_json(j, '[\"VARCHAR\"]'))",
    "CREATE MACRO jsonb_array_elements(j) AS unnest(from_json(j, '[\"JSON\"]'))",
    # The same behind FROM.
    """CREATE MACRO jsonb_array_elements_text(j) AS TABLE
    SELECT unnest(from_json(j, '["VARCHAR"]')) AS value""",
    """CREATE MACRO jsonb_array_elements(j) AS TABLE
    SELECT unnest(from_json(j, '["JSON"]')) AS value""",
    "CREATE MACRO jsonb_array_length(j) AS json_array_length(j)",
    "CREATE MACRO to_jsonb(x) AS to_json(x)",
    "CREATE MACRO jsonb_path_query_array(j, p) AS to_json(json_extract(j, p))",
)
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_NAMED = re.compile(r"\$([A-Za-z_]\w*)")
# Whatever type the ids and facts have in the files, here they are those of the read model.
_VIEW = """
CREATE SCHEMA read;
CREATE VIEW read.audit_trail AS
SELECT * REPLACE (CAST(jti AS uuid) AS jti, CAST(detail AS json) AS detail)
FROM read_parquet({files}, union_by_name = true, hive_partitioning = false)
"""
_SESSION: dict[str, str | bool | int | float | list[str]] = {
    # An answer rests on the export alone: nothing is fetched, and no other file is opened.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class DamagedExport(ValueError):
    """The files are not those that were exported; the message says what is wrong first."""


@contextmanager
def opened_export(
    directory: Path, *, progress: Progress = no_progress
) -> Iterator[DuckDBPyConnection]:
    """Check the export in `directory` and open it for reports; `progress` is of the check.

    Raises UnusableManifest, DamagedExport, OSError, duckdb.Error.
    """
    problems = check(directory, progress=progress).problems
    if problems:
        raise DamagedExport(f"{problems[0]} ({len(problems)} problems: grantledger export-verify)")
    files = [directory.resolve() / file.path for file in read_manifest(directory).files]
    with duckdb.connect(config=_SESSION) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET allowed_paths = {_list(files)}")
        connection.execute("SET enable_external_access = false")
        for macro in _MACROS:
            connection.execute(macro)
        connection.execute(_VIEW.format(files=_list(files)))
        yield connection


def _list(files: Sequence[Path]) -> str:
    # Neither a setting nor a view takes parameters.
    return "[" + ", ".join("'" + str(name).replace("'", "''") + "'" for name in files) + "]"


def answered(asking: Asking[T], connection: DuckDBPyConnection) -> T:
    """Return what `asking` leads to, over an export. Raises duckdb.Error."""
    query = next(asking)
    while True:
        try:
            query = asking.send(fetch(connection, query))
        except StopIteration as done:
            found: T = done.value
            return found


def fetch(connection: DuckDBPyConnection, query: Query[T]) -> list[T]:
    """Return the answers to a query about the audit trail. Raises duckdb.Error."""
    relation = _relation(connection, _in_duckdb(query.statement.as_string()), query.parameters)
    return [query.row(**dict(zip(relation.columns, row, strict=True))) for row in _rows(relation)]


def _in_duckdb(statement: str) -> str:
    """Return a statement of psycopg as DuckDB takes it: its parameters read `$name`."""
    return _PLACEHOLDER.sub(r"$\1", statement).replace("%%", "%")


def _relation(
    connection: DuckDBPyConnection, statement: str, values: Mapping[str, Any]
) -> DuckDBPyRelation:
    named = {name: values[name] for name in _NAMED.findall(statement)}
    relation = connection.sql(statement, params=named)
    assert relation is not None  # it is a query
    return relation


def _rows(relation: DuckDBPyRelation) -> list[Row]:
    readers = [_READERS.get(str(kind), _as_it_is) for kind in relation.types]
    # Through Arrow: DuckDB's own conversion of moments needs a package of its own for the zone.
    columns = [column.to_pylist() for column in relation.to_arrow_table().columns]
    return [
        tuple(read(value) for read, value in zip(readers, row, strict=True))
        for row in zip(*columns, strict=True)
    ]


def _as_it_is(value: Any) -> Any:
    return value


def _moment(value: datetime | None) -> datetime | None:
    return value.astimezone(UTC) if value is not None else None


def _uuid(value: Any) -> UUID | None:
    return UUID(str(value)) if value is not None else None


def _json(value: str | None) -> Any:
    return msgspec.json.decode(value) if value is not None else None


def _whole(value: Any) -> int | None:
    return int(value) if value is not None else None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "TIMESTAMP WITH TIME ZONE": _moment,
    "UUID": _uuid,
    "JSON": _json,
    "HUGEINT": _whole,  # what sum() of whole numbers is
}
