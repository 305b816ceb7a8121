"""Exports a range of the audit trail into a directory, as often as one likes.

1. One process writes into a directory. An export of another service, schema or range that does not
   adjoin is left alone: the manifest decides.
2. The range is what is asked together with what is there. Rows of the audit trail never change,
   but where an event that was set aside can be taken now: all other files that are there with the
   hash of the manifest are kept.
3. Before the first file is written the export is announced, which records it: no data leaves
   without an event that tells of it.
4. Each file is written beside its place and renamed. The manifest says from the first on that the
   export is incomplete, and at most every SAVE_SECONDS which files are done: a run that is killed
   loses little, and the next one goes on.
5. The manifest becomes complete, then what is not in it goes: parts that have grown since, and what
   a killed run left.

Two connections copy at once: while one part is compressed, PostgreSQL prepares the next.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from projections.export.manifest import (
    NAME,
    File,
    Manifest,
    digest,
    file_of,
    manifest_of,
    read_manifest,
    write_manifest,
)
from projections.export.parquet import Copiers
from projections.export.parts import (
    RANGE_EVENTS,
    Part,
    PositionRange,
    gaps,
    parts,
    set_aside,
)
from projections.export.published import UNFINISHED, only_writer, published
from projections.rebuild import Progress, no_progress
from projections.session import open_session

AT_ONCE = 2
SAVE_SECONDS = 1.0

_Aside = Sequence[tuple[int, str]]
Announce = Callable[[PositionRange, int], None]
"""Called with the range and the number of events that are about to be written."""


class ExportRefused(Exception):
    """The directory cannot take this export; the message says why."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What is in the directory now, how many files were written, and which were there."""

    manifest: Manifest
    manifest_sha256: str
    written: int
    kept: int


def export(
    database_url: str,
    directory: Path,
    asked: PositionRange,
    *,
    issuer: str,
    announce: Announce,
    progress: Progress = no_progress,
    range_events: int = RANGE_EVENTS,
) -> Exported:
    """Export the positions `asked` into `directory`.

    Raises ExportRefused, UnusableManifest, DirectoryInUse, OSError, psycopg.Error, and what
    `announce` raises.
    """
    with only_writer(directory):  # 1
        before = _before(directory, issuer)
        range_ = _whole(directory, before, asked)  # 2
        planned, missing, aside = _planned(database_url, range_, range_events)
        if not planned:
            raise ExportRefused("nothing is recorded, or projected yet, in that range")
        kept = _kept(directory, before, planned, aside)
        lacking = [part for part in planned if part.path not in kept]
        unsaved = _Unsaved(directory, range_, issuer, missing, aside, list(kept.values()))
        if lacking:
            announce(range_, sum(part.rows for part in lacking))  # 3
            unsaved.save()
            for file in _written(database_url, directory, lacking, progress):  # 4
                unsaved.add(file)
        hash_, manifest = unsaved.complete(before)  # 5
        _remove_others(directory, manifest)
    return Exported(manifest, hash_, written=len(lacking), kept=len(kept))


def _before(directory: Path, issuer: str) -> Manifest | None:
    if not (directory / NAME).exists():
        return None
    found = read_manifest(directory)
    if found.issuer != issuer:
        raise ExportRefused(f"{directory} holds an export of {found.issuer}: choose another one")
    return found


def _whole(directory: Path, before: Manifest | None, asked: PositionRange) -> PositionRange:
    if before is None:
        return asked
    range_ = before.range.joined(asked)
    if range_ is None:
        raise ExportRefused(
            f"{directory} holds the positions {before.first_position} to {before.last_position}:"
            f" {asked.first} to {asked.last} would leave a gap, choose another directory"
        )
    return range_


def _planned(
    database_url: str, range_: PositionRange, range_events: int
) -> tuple[list[Part], list[PositionRange], _Aside]:
    with closing(open_session(database_url, name="export")) as connection:
        planned = parts(range_, range_events=range_events).fetch(connection)
        missing = gaps(range_, planned)
        aside = set_aside(range_).fetch(connection)
        return planned, missing.fetch(connection) if missing else [], aside


def _kept(
    directory: Path, before: Manifest | None, planned: Sequence[Part], aside: _Aside
) -> dict[str, File]:
    if before is None:
        return {}
    wanted = {part.path: part.rows for part in planned}
    changed = [position for position, _ in {*before.set_aside} ^ {*aside}]
    candidates = [
        file
        for file in before.files
        if wanted.get(file.path) == file.rows
        and not any(file.first_position <= one <= file.last_position for one in changed)
    ]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        whole = threads.map(lambda file: is_whole(directory, file), candidates)
        return {file.path: file for file, found in zip(candidates, whole, strict=True) if found}


def is_whole(directory: Path, file: File) -> bool:
    """Tell whether a file of an export is there and has the bytes that the manifest says."""
    path = directory / file.path
    try:
        return path.stat().st_size == file.bytes and digest(path) == file.sha256
    except FileNotFoundError:
        return False


def _written(
    database_url: str, directory: Path, lacking: Iterable[Part], progress: Progress
) -> Iterator[File]:
    todo = list(lacking)
    done, total = 0, sum(part.rows for part in todo)
    with Copiers(database_url, AT_ONCE) as copiers, _threads() as threads:
        running = [threads.submit(_write, copiers, directory, part) for part in todo]
        for finished in as_completed(running):
            file = finished.result()
            done += file.rows
            progress(done, total)
            yield file


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        yield threads
    finally:  # after a failure or Ctrl-C only what runs is waited for
        threads.shutdown(wait=True, cancel_futures=True)


def _write(copiers: Copiers, directory: Path, part: Part) -> File:
    path = directory / part.path
    with published(path) as unfinished:
        rows = copiers.copy(part.statement(), unfinished)
        if rows != part.rows:
            raise ExportRefused(
                f"{part.path}: {rows} rows instead of {part.rows}: the audit trail is being made"
                " anew, try again"
            )
        return file_of(part, unfinished)


class _Unsaved:
    """The files that are done, and when the manifest was told of them last."""

    def __init__(
        self,
        directory: Path,
        range_: PositionRange,
        issuer: str,
        gaps: list[PositionRange],
        aside: _Aside,
        files: list[File],
    ) -> None:
        self._directory = directory
        self._range = range_
        self._issuer = issuer
        self._gaps = gaps
        self._aside = aside
        self._files = files
        self._saved_at = 0.0

    def add(self, file: File) -> None:
        self._files.append(file)
        if monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        write_manifest(self._directory, self._manifest(complete=False))
        self._saved_at = monotonic()

    def complete(self, before: Manifest | None) -> tuple[str, Manifest]:
        manifest = self._manifest(complete=True)
        if manifest == before and not self._saved_at:
            return digest(self._directory / NAME), manifest
        return write_manifest(self._directory, manifest), manifest

    def _manifest(self, *, complete: bool) -> Manifest:
        return manifest_of(
            self._files,
            range_=self._range,
            issuer=self._issuer,
            gaps=self._gaps,
            complete=complete,
            set_aside=self._aside,
        )


def _remove_others(directory: Path, manifest: Manifest) -> None:
    known = {file.path for file in manifest.files}
    for path in files_below(directory):
        if path.name.endswith(UNFINISHED) or path.relative_to(directory).as_posix() not in known:
            path.unlink()


def files_below(directory: Path) -> list[Path]:
    """Return every file that an export into `directory` could have left, in order."""
    return sorted((directory / "events").glob("date=*/*events-*.parquet*"))
