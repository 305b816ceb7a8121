"""Is an export whole? Read from the files alone, without a database, in this order:

1. The manifest is that of a complete export, its totals are the sums of its files, and where the
   caller knows the manifest's hash (the log does: `audit_export.finished`) it has that hash.
2. Each file is inside the directory, once, with the size and SHA-256 of the manifest.
3. Each holds the columns of an export, and the rows and positions that the manifest says.
4. There is no other file of an export in the directory.
5. All files together hold each position of the range exactly once, but for the gaps it names.
6. The rows that stand in for events set aside are those that the manifest names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from projections.audit_trail import SET_ASIDE
from projections.export.columns import SCHEMA
from projections.export.exporting import files_below, is_whole
from projections.export.manifest import NAME, File, Manifest, digest, manifest_of, read_manifest
from projections.export.parts import PositionRange
from projections.rebuild import Progress, no_progress

_PATH = re.compile(r"events/date=([0-9]{4}-[0-9]{2}-[0-9]{2})/events-[0-9]+-[0-9]+\.parquet")


@dataclass(frozen=True, slots=True)
class Checked:
    """What an export should hold, and each problem found, one line each."""

    files: int
    rows: int
    bytes: int
    first_position: int
    last_position: int
    manifest_sha256: str
    problems: tuple[str, ...]


def check(
    directory: Path, *, manifest_sha256: str | None = None, progress: Progress = no_progress
) -> Checked:
    """Check the export in `directory`. Raises UnusableManifest and OSError."""
    manifest, hash_ = read_manifest(directory), digest(directory / NAME)
    problems = [*_of_manifest(manifest, hash_, manifest_sha256)]  # 1
    runs: list[PositionRange] = []
    aside: set[int] = set()
    for done, file in enumerate(manifest.files, start=1):
        try:
            held, stood_in = _checked_file(directory, file)
            runs += held
            aside |= stood_in
        except _Problem as problem:
            problems.append(str(problem))
        progress(done, len(manifest.files))
    problems += _unlisted(directory, manifest)  # 4
    problems += _holes(manifest, runs)  # 5
    problems += _unnamed(manifest, aside)  # 6
    return Checked(
        files=len(manifest.files),
        rows=manifest.rows,
        bytes=manifest.bytes,
        first_position=manifest.first_position,
        last_position=manifest.last_position,
        manifest_sha256=hash_,
        problems=tuple(problems),
    )


class _Problem(Exception):
    """Something is wrong with a file."""


def _of_manifest(manifest: Manifest, hash_: str, wanted: str | None) -> Iterator[str]:
    if wanted is not None and hash_ != wanted.lower():
        yield f"{NAME}: its SHA-256 is {hash_}, not the one that was given"
    if not manifest.complete:
        yield f"{NAME}: the export was broken off; export again to go on"
    again = manifest_of(
        list(manifest.files),
        range_=manifest.range,
        issuer=manifest.issuer,
        gaps=[PositionRange(*gap) for gap in manifest.gaps],
        complete=manifest.complete,
        set_aside=manifest.set_aside,
    )
    if again != manifest:
        yield f"{NAME}: its totals are not those of its files"
    repeated = [path for path, n in Counter(file.path for file in manifest.files).items() if n > 1]
    for path in repeated:
        yield f"{path}: listed more than once"


def _checked_file(directory: Path, file: File) -> tuple[list[PositionRange], set[int]]:
    named = _PATH.fullmatch(file.path)
    if named is None or named[1] != file.date.isoformat():  # 2
        raise _Problem(f"{file.path!r}: no name that a file of an export has")
    if not (directory / file.path).exists():
        raise _Problem(f"{file.path}: missing")
    if not is_whole(directory, file):
        raise _Problem(f"{file.path}: changed: its size or SHA-256 is not that of the manifest")
    try:
        parquet = pq.ParquetFile(directory / file.path)
        if not parquet.schema_arrow.equals(SCHEMA):  # 3
            raise _Problem(f"{file.path}: its columns are not those of an export")
        runs, rows = _runs(parquet), parquet.metadata.num_rows
        stood_in = _stood_in(parquet)
    except (pa.ArrowException, OSError) as error:
        raise _Problem(f"{file.path}: no readable Parquet file: {error}") from None
    held = (rows, runs[0].first, runs[-1].last) if runs else (0, 0, 0)
    if held != (file.rows, file.first_position, file.last_position):
        raise _Problem(f"{file.path}: its rows or positions are not those of the manifest")
    return runs, stood_in


def _stood_in(parquet: pq.ParquetFile) -> set[int]:
    """Return the positions of the rows that stand in for events set aside."""
    found = parquet.read(columns=["position", "topic"])
    return {*found.filter(pc.equal(found["topic"], SET_ASIDE))["position"].to_pylist()}


def _runs(parquet: pq.ParquetFile) -> list[PositionRange]:
    """Return the positions of a file as ranges without a hole, in the order they are in."""
    positions = parquet.read(columns=["position"]).column("position").combine_chunks()
    if not len(positions):
        return []
    steps = pc.subtract(positions[1:], positions[:-1])
    breaks = pc.indices_nonzero(pc.not_equal(steps, 1)).to_pylist()
    firsts, lasts = [0, *(at + 1 for at in breaks)], [*breaks, len(positions) - 1]
    return [
        PositionRange(positions[first].as_py(), positions[last].as_py())
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _unlisted(directory: Path, manifest: Manifest) -> Iterator[str]:
    known = {file.path for file in manifest.files}
    for path in files_below(directory):
        name = path.relative_to(directory).as_posix()
        if name not in known:
            yield f"{name}: not in the manifest"


def _unnamed(manifest: Manifest, stood_in: set[int]) -> Iterator[str]:
    if stood_in != {position for position, _ in manifest.set_aside}:
        yield f"{NAME}: the events set aside are not those of its files"


def _holes(manifest: Manifest, runs: Sequence[PositionRange]) -> Iterator[str]:
    known = [PositionRange(*gap) for gap in manifest.gaps]
    expected = manifest.first_position
    end = PositionRange(manifest.last_position + 1, manifest.last_position + 1)
    for run in sorted([*runs, *known, end], key=lambda one: (one.first, one.last)):
        if run.first > expected:
            yield f"positions {expected} to {run.first - 1}: missing"
        elif run.first < expected:
            yield f"positions from {run.first}: there more than once, or outside of the range"
        expected = max(expected, run.last + 1)
