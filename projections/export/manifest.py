"""The manifest of an export: what its files are, so that each of them can be proven whole.

It says nothing of when or by whom the export was made (the log does): the same range exported again
gives the same bytes.
"""

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from projections.export.columns import SCHEMA_VERSION
from projections.export.parts import Part, PositionRange
from projections.export.published import published

NAME = "manifest.json"
FORMAT = "grantledger audit trail"


class UnusableManifest(ValueError):
    """There is no manifest, or it is none of this version; the message says what to do."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file: where it is from the directory of the export, and what it must be."""

    path: str
    date: date
    rows: int
    first_position: int
    last_position: int
    first_recorded_at: datetime
    last_recorded_at: datetime
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An export of the positions from `first_position` to `last_position`.

    `gaps` are positions (first, last) that the audit trail did not hold. `set_aside` are the events
    (position, topic) that it could not take: a row of the files stands in for each. It is left out
    where there are none. An export that is not `complete` was broken off, or is being written.
    """

    format: str
    schema_version: int
    issuer: str
    complete: bool
    first_position: int
    last_position: int
    rows: int
    bytes: int
    first_recorded_at: datetime | None
    last_recorded_at: datetime | None
    gaps: tuple[tuple[int, int], ...]
    files: tuple[File, ...]
    set_aside: tuple[tuple[int, str], ...] = ()

    @property
    def range(self) -> PositionRange:
        """The positions it is of."""
        return PositionRange(self.first_position, self.last_position)


def manifest_of(
    files: list[File],
    *,
    range_: PositionRange,
    issuer: str,
    gaps: list[PositionRange],
    complete: bool,
    set_aside: Sequence[tuple[int, str]] = (),
) -> Manifest:
    """Return the manifest of `files`, its totals added up."""
    ordered = tuple(sorted(files, key=lambda file: (file.first_position, file.path)))
    return Manifest(
        format=FORMAT,
        schema_version=SCHEMA_VERSION,
        issuer=issuer,
        complete=complete,
        first_position=range_.first,
        last_position=range_.last,
        rows=sum(file.rows for file in ordered),
        bytes=sum(file.bytes for file in ordered),
        first_recorded_at=min((file.first_recorded_at for file in ordered), default=None),
        last_recorded_at=max((file.last_recorded_at for file in ordered), default=None),
        gaps=tuple((gap.first, gap.last) for gap in gaps),
        files=ordered,
        set_aside=tuple(set_aside),
    )


def file_of(part: Part, path: Path) -> File:
    """Return the entry of the file `path`, which holds `part`. Raises OSError."""
    return File(
        path=part.path,
        date=part.day,
        rows=part.rows,
        first_position=part.first_position,
        last_position=part.last_position,
        first_recorded_at=part.first_recorded_at,
        last_recorded_at=part.last_recorded_at,
        bytes=path.stat().st_size,
        sha256=digest(path),
    )


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises OSError."""
    found = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of the export in `directory`. Raises UnusableManifest and OSError."""
    path = directory / NAME
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise UnusableManifest(f"{path} is not there: this is no export") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableManifest(f"{path}: {error}") from None
    if (found.format, found.schema_version) != (FORMAT, SCHEMA_VERSION):
        raise UnusableManifest(
            f"{path}: {found.format!r} with schema {found.schema_version}, this version knows"
            f" {FORMAT!r} with schema {SCHEMA_VERSION}: choose another directory"
        )
    return found


def write_manifest(directory: Path, manifest: Manifest) -> str:
    """Put the manifest into `directory` at once; return its SHA-256. Raises OSError."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    with published(directory / NAME) as unfinished:
        unfinished.write_bytes(content)
    return sha256(content).hexdigest()
