"""A file is named for one idea of the domain: names that could hold anything are not taken."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("domain", "application", "projections", "api", "tests")
MEANINGLESS = re.compile(
    r"(^|_)(util|utils|utility|utilities|helper|helpers|common|misc|stuff|base|lib|shared|tools)(_|$)"
)


def meaningless(names: list[str]) -> list[str]:
    """Return those of `names`, file and folder names without suffix, that say nothing."""
    return [name for name in names if MEANINGLESS.search(name)]


def test_no_file_is_a_drawer() -> None:
    """No module and no package is called utils, helpers, common or the like."""
    paths = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    names = {part.removesuffix(".py") for path in paths for part in path.relative_to(ROOT).parts}

    assert "group_commit" in names
    assert meaningless(sorted(names)) == []


def test_the_check_sees() -> None:
    """The check above finds such names, alone and as part, and leaves others alone."""
    names = ["utils", "test_helpers", "common", "http_util", "database", "commonwealth", "toolset"]

    assert meaningless(names) == ["utils", "test_helpers", "common", "http_util"]
