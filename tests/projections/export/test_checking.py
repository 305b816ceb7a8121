"""What `export-verify` finds: every way to change an export is a problem that it names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from projections.export.checking import check
from projections.export.manifest import UnusableManifest, digest
from tests.projections.export.exports import export_now

Manifest = dict[str, Any]
LAST = 25


def _rewrite(directory: Path, change: Callable[[Manifest], object]) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def _file(directory: Path, index: int) -> Path:
    manifest = json.loads((directory / "manifest.json").read_text())
    return directory / str(manifest["files"][index]["path"])


def _replace(directory: Path, table: pa.Table) -> None:
    """Put `table` in place of the second file, size and hash of the manifest with it."""
    path = _file(directory, 1)
    pq.write_table(table, path)

    def agree(manifest: Manifest) -> None:
        manifest["files"][1] |= {"bytes": path.stat().st_size, "sha256": digest(path)}
        manifest["bytes"] = sum(file["bytes"] for file in manifest["files"])

    _rewrite(directory, agree)


def _shortened(directory: Path) -> None:
    _replace(directory, pq.ParquetFile(_file(directory, 1)).read().slice(1))


def _other_columns(directory: Path) -> None:
    _replace(directory, pa.table({"position": [3, 4]}))


def _doubled(directory: Path) -> None:
    table = pq.ParquetFile(_file(directory, 1)).read()
    first, last = table.slice(0, 1), table.slice(table.num_rows - 1)
    middle = table.slice(1, table.num_rows - 3)
    _replace(directory, pa.concat_tables([first, middle, middle.slice(0, 1), last]))


def _dropped(directory: Path) -> None:
    _file(directory, 1).unlink()

    def forget(manifest: Manifest) -> None:
        gone = manifest["files"].pop(1)
        manifest["rows"] -= gone["rows"]
        manifest["bytes"] -= gone["bytes"]

    _rewrite(directory, forget)


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte changed": (lambda d: _file(d, 0).write_bytes(b"PAR1"), "changed: its size or SHA-256"),
    "a file gone": (lambda d: _file(d, 0).unlink(), "missing"),
    "a file more": (
        lambda d: (d / "events/date=2026-03-01/events-9-9.parquet").write_bytes(b""),
        "not in the manifest",
    ),
    "a file and its entry gone": (_dropped, "positions 3 to 10: missing"),
    "a row gone, hash renewed": (_shortened, "rows or positions are not those of the manifest"),
    "a row replaced by another": (_doubled, "missing"),
    "other columns": (_other_columns, "its columns are not those of an export"),
    "totals": (
        lambda d: _rewrite(d, lambda m: m.update(rows=1)),
        "its totals are not those of its files",
    ),
    "an entry twice": (
        lambda d: _rewrite(d, lambda m: m["files"].append(m["files"][0])),
        "listed more than once",
    ),
    "a path outside": (
        lambda d: _rewrite(d, lambda m: m["files"][0].update(path="../../etc/passwd")),
        "no name that a file of an export has",
    ),
    "another day": (
        lambda d: _rewrite(d, lambda m: m["files"][0].update(date="2026-03-09")),
        "no name that a file of an export has",
    ),
    "a longer range": (
        lambda d: _rewrite(d, lambda m: m.update(last_position=LAST + 1)),
        f"positions {LAST + 1} to {LAST + 1}: missing",
    ),
    "a gap that is none": (
        lambda d: _rewrite(d, lambda m: m.update(gaps=[[4, 5]])),
        "there more than once",
    ),
    "an event set aside that is none": (
        lambda d: _rewrite(d, lambda m: m.update(set_aside=[[4, "client.registered"]])),
        "the events set aside are not those of its files",
    ),
    "never completed": (
        lambda d: _rewrite(d, lambda m: m.update(complete=False)),
        "the export was broken off",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found(trail: str, tmp_path: Path, name: str) -> None:
    """The change is named, in a line that says what is wrong where."""
    tamper, problem = TAMPERINGS[name]
    whole = export_now(trail, tmp_path, LAST).manifest_sha256
    tamper(tmp_path)
    found = check(tmp_path).problems

    assert any(problem in line for line in found), found
    if "manifest" not in name and digest(tmp_path / "manifest.json") != whole:
        told = check(tmp_path, manifest_sha256=whole).problems
        assert any("not the one that was given" in line for line in told)


def test_the_recorded_hash_is_that_of_the_manifest(trail: str, tmp_path: Path) -> None:
    """A manifest that is what it was has no problem, however its hash is spelled."""
    done = export_now(trail, tmp_path, LAST)

    assert check(tmp_path, manifest_sha256=done.manifest_sha256.upper()).problems == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "else"}'])
def test_no_manifest(tmp_path: Path, text: str) -> None:
    """What is no manifest of ours is refused as such."""
    with pytest.raises(UnusableManifest, match="this is no export"):
        check(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UnusableManifest):
        check(tmp_path)
