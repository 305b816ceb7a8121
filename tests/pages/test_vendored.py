"""The scripts and styles of others: exactly those that are written down, with their licences."""

import re
from hashlib import sha256
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "api" / "pages" / "static" / "vendor"
_ROW = re.compile(r"\| (\S+) \| \S+ \| \d+\.\d+\.\d+ \| \S+ \| .*\((\S+)\) \| ([0-9a-f]{64}) \|")


def test_vendored_files_are_what_is_written_down() -> None:
    """Each file has the digest of its row, has its licence beside it, and there is no other."""
    rows = _ROW.findall((VENDOR / "VENDORED.md").read_text())
    names = {name for name, _, _ in rows}
    licences = {licence for _, licence, _ in rows}

    assert len(rows) == 3
    for name, _, digest in rows:
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    assert {path.name for path in VENDOR.iterdir()} == {"VENDORED.md"} | names | licences
