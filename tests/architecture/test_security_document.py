"""The threat model names a test for what it says: each of them is there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "security.md"
_NAMED = re.compile(r"`([a-z_0-9/]+\.py)(?:::([A-Za-z_0-9]+))?`")


def missing(text: str) -> list[str]:
    """Return what `text` names, file or test, and is not below tests/."""
    found = []
    for path, name in _NAMED.findall(text):
        file = TESTS / path
        whole = file.read_text() if file.exists() else ""
        if not whole or (
            name and not re.search(rf"^(async )?def {name}\(|^{name} = ", whole, re.MULTILINE)
        ):
            found.append(f"{path}::{name}")
    return found


def test_every_named_test_exists() -> None:
    """Whoever renames or deletes a test of the threat model is told here."""
    text = DOCUMENT.read_text()

    assert len(_NAMED.findall(text)) > 50
    assert missing(text) == []


def test_the_check_sees() -> None:
    """A file or a test that is not there is found."""
    here = "architecture/test_security_document.py"

    assert missing(f"`{here}::test_the_check_sees` `{here}`") == []
    assert missing(f"`{here}::test_no` `nowhere.py`") == [f"{here}::test_no", "nowhere.py::"]
