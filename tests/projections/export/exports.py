"""Exports as tests make them: small ranges, and a note of what was announced."""

from collections.abc import Callable
from pathlib import Path

from projections.export.exporting import Exported, export
from projections.export.parts import PositionRange
from projections.rebuild import no_progress

ISSUER = "https://issuer.example"
RANGE = 10


def export_now(
    database_url: str,
    directory: Path,
    last: int,
    *,
    first: int = 1,
    issuer: str = ISSUER,
    announced: list[tuple[PositionRange, int]] | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> Exported:
    """Export the positions `first` to `last` in ranges of RANGE."""
    notes = [] if announced is None else announced
    return export(
        database_url,
        directory,
        PositionRange(first, last),
        issuer=issuer,
        announce=lambda of, rows: notes.append((of, rows)),
        progress=progress,
        range_events=RANGE,
    )


def content(directory: Path) -> dict[str, bytes]:
    """Return what every file below `directory` holds, by its name from there."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
