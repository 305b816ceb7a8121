"""What is installed is named by its bytes: each line of a lock file has a version and hashes.

This much of an audit needs no internet; known vulnerabilities are asked for by `make audit`.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
# A name, one version, for some platforms only perhaps; then a hash or more.
PINNED = re.compile(
    r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?==[A-Za-z0-9.!+]+( ; [^@\\]+)? \\"
    r"(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+"
)


def entries(text: str) -> list[str]:
    """Return the requirements of a lock file, each with its continued lines."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [one for one in re.split(r"\n(?=\S)", plain) if one.strip()]


@pytest.mark.parametrize("lock", LOCKS)
def test_each_requirement_is_pinned_by_hash(lock: str) -> None:
    """No range, no index, no URL, no path: pip installs these files or none."""
    found = entries((ROOT / lock).read_text())

    assert len(found) > 30
    assert [one for one in found if not PINNED.fullmatch(one)] == []


@pytest.mark.parametrize(
    "line",
    [
        "evil",
        "evil>=1 \\\n    --hash=sha256:" + "0" * 64,
        "evil==1",
        "evil==1 \\\n    --hash=md5:" + "0" * 32,
        "evil @ https://evil.example/evil.whl \\\n    --hash=sha256:" + "0" * 64,
        "--extra-index-url https://evil.example",
        "-e .",
    ],
)
def test_the_check_sees(line: str) -> None:
    """The check above finds what is not pinned."""
    assert not PINNED.fullmatch(line)
