"""A month of the log as files: the audit trail for readers, and the rows themselves to come back.

```
DIR/2026_01/
  manifest.json     this month: its rows, bounds and files, and the hash of the other manifest
  ledger/           the rows of the partition, as they are stored
  audit/            an export of the audit trail, from the first position of the month to its last
```

The export covers the positions of others in between too, so that it is one piece of the record. The
rows are compared with the database after they were written, value by value.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import Connection
from psycopg.sql import SQL, Composed, Literal

from projections.export.checking import check
from projections.export.exporting import Announce, export
from projections.export.manifest import NAME, UnusableManifest, digest
from projections.export.parquet import Copiers
from projections.export.parts import RANGE_EVENTS, PositionRange
from projections.export.published import only_writer, published
from projections.query import Query
from projections.rebuild import Progress, no_progress
from projections.retention.months import Month, month_named

FORMAT = "grantledger month"
SCHEMA_VERSION = 1
SCHEMA = pa.schema(
    [
        pa.field("originator_id", pa.string(), nullable=False),
        pa.field("originator_version", pa.int64(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("state", pa.binary(), nullable=False),
        pa.field("notification_id", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
_SELECTED = "originator_id::text, originator_version, topic, state, notification_id, recorded_at"
_FILE = re.compile(r"ledger/events-[0-9]{12}-[0-9]{12}\.parquet")


class ArchiveNotWhole(Exception):
    """An archive is not what the database or its manifest says; the message is one line."""


class RowFile(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the partition between two positions, in their order."""

    path: str
    rows: int
    first_position: int
    last_position: int
    bytes: int
    sha256: str


class MonthManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archived month is."""

    format: str
    schema_version: int
    issuer: str
    partition: str
    rows: int
    first_position: int
    last_position: int
    audit_manifest_sha256: str
    files: tuple[RowFile, ...]


@dataclass(frozen=True, slots=True)
class Archived:
    """An archive that was verified, and the SHA-256 of its manifest."""

    directory: Path
    manifest: MonthManifest
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class _Rows:
    first_position: int
    last_position: int
    rows: int

    @property
    def path(self) -> str:
        return f"ledger/events-{self.first_position:012}-{self.last_position:012}.parquet"

    def statement(self, month: Month) -> Composed:
        return SQL(
            "SELECT {selected} FROM {table} WHERE notification_id BETWEEN {first} AND {last}"
            " ORDER BY notification_id"
        ).format(
            selected=SQL(_SELECTED),
            table=month.table,
            first=Literal(self.first_position),
            last=Literal(self.last_position),
        )


def directory_of(out: Path, month: Month) -> Path:
    """Return where in `out` the archive of a month is."""
    return out / f"{month.first_moment:%Y_%m}"


def archive(
    database_url: str,
    connection: Connection[Any],
    month: Month,
    out: Path,
    *,
    issuer: str,
    announce: Announce,
    progress: Progress = no_progress,
    range_events: int = RANGE_EVENTS,
) -> Archived:
    """Write the archive of `month` below `out` and verify it.

    Raises ArchiveNotWhole, and as projections.export.exporting.export does.
    """
    directory = directory_of(out, month)
    with only_writer(directory):
        planned = _rows(month, range_events).fetch(connection)
        whole = PositionRange(planned[0].first_position, planned[-1].last_position)
        exported = export(
            database_url,
            directory / "audit",
            whole,
            issuer=issuer,
            announce=announce,
            progress=progress,
            range_events=range_events,
        )
        with Copiers(database_url, 1) as copiers:
            files = tuple(_written(copiers, month, directory, rows) for rows in planned)
        manifest = MonthManifest(
            format=FORMAT,
            schema_version=SCHEMA_VERSION,
            issuer=issuer,
            partition=month.partition,
            rows=sum(file.rows for file in files),
            first_position=whole.first,
            last_position=whole.last,
            audit_manifest_sha256=exported.manifest_sha256,
            files=files,
        )
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        with published(directory / NAME) as unfinished:
            unfinished.write_bytes(content)
        archived = Archived(directory, manifest, sha256(content).hexdigest())
        verify_archive(archived)
        compare(database_url, month, archived)
    return archived


def read_archive(directory: Path) -> tuple[Month, Archived]:
    """Return the archive in `directory` and its month. Raises UnusableManifest and OSError."""
    path = directory / NAME
    try:
        content = path.read_bytes()
        manifest = msgspec.json.decode(content, type=MonthManifest)
    except FileNotFoundError:
        raise UnusableManifest(f"{path} is not there: this is no archived month") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableManifest(f"{path}: {error}") from None
    month = month_named(manifest.partition)
    if (manifest.format, manifest.schema_version) != (FORMAT, SCHEMA_VERSION) or month is None:
        raise UnusableManifest(f"{path} is no archived month of this version")
    return month, Archived(directory, manifest, sha256(content).hexdigest())


def verify_archive(archived: Archived) -> None:
    """Read every file again: hashes, counts, positions. Raises ArchiveNotWhole and OSError."""
    manifest, directory = archived.manifest, archived.directory
    audit = check(directory / "audit", manifest_sha256=manifest.audit_manifest_sha256)
    if audit.problems:
        raise ArchiveNotWhole(f"{directory / 'audit'}: {audit.problems[0]}")
    for file in manifest.files:
        path = directory / file.path
        if not _FILE.fullmatch(file.path) or not path.exists():
            raise ArchiveNotWhole(f"{path}: missing")
        if path.stat().st_size != file.bytes or digest(path) != file.sha256:
            raise ArchiveNotWhole(f"{path}: changed: its size or SHA-256 is not the manifest's")
    if sum(file.rows for file in manifest.files) != manifest.rows:
        raise ArchiveNotWhole(f"{directory / NAME}: its total is not that of its files")


def compare(database_url: str, month: Month, archived: Archived) -> None:
    """Compare the table of a month with its archive, value by value.

    Raises ArchiveNotWhole, OSError and psycopg.OperationalError.
    """
    with Copiers(database_url, 1) as copiers:
        for file in archived.manifest.files:
            wanted = _Rows(file.first_position, file.last_position, file.rows)
            held = copiers.read(wanted.statement(month), SCHEMA)
            if not read_rows(archived, file).equals(held):
                raise ArchiveNotWhole(
                    f"{archived.directory / file.path} is not what {month.partition} holds"
                )


def read_rows(archived: Archived, file: RowFile) -> pa.Table:
    """Return the rows of a file. Raises ArchiveNotWhole for what is no such file, and OSError."""
    try:
        table = pq.ParquetFile(archived.directory / file.path).read()
    except pa.ArrowException as error:
        raise ArchiveNotWhole(f"{archived.directory / file.path}: {error}") from None
    if not table.schema.equals(SCHEMA) or table.num_rows != file.rows:
        raise ArchiveNotWhole(f"{archived.directory / file.path}: other columns or rows")
    return table


def _rows(month: Month, range_events: int) -> Query[_Rows]:
    return Query(
        SQL(
            "SELECT min(notification_id) AS first_position, max(notification_id) AS last_position,"
            " count(*) AS rows FROM {} GROUP BY (notification_id - 1) / %(range_events)s ORDER BY 1"
        ).format(month.table),
        {"range_events": range_events},
        _Rows,
    )


def _written(copiers: Copiers, month: Month, directory: Path, rows: _Rows) -> RowFile:
    path = directory / rows.path
    with published(path) as unfinished:
        count = copiers.copy(rows.statement(month), unfinished, SCHEMA)
    if count != rows.rows:
        raise ArchiveNotWhole(f"{month.partition} is still being written: try again")
    return RowFile(
        path=rows.path,
        rows=count,
        first_position=rows.first_position,
        last_position=rows.last_position,
        bytes=path.stat().st_size,
        sha256=digest(path),
    )
