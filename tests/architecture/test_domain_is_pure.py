"""The domain stays pure: what its modules import decides what they can do."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "domain").glob("**/*.py"))

# A clock, dice or a way out of the process: they come in as arguments.
IMPURE = {
    "asyncio",
    "http",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
}
ALLOWED_PACKAGES = {"domain", "pydantic"}
# resolve_topic alone: how an event finds the class of its aggregate.
ALLOWED_MODULES = {
    "eventsourcing.domain": None,
    "eventsourcing.utils": {"resolve_topic"},
    # Takes a string apart; the rest of the package goes out.
    "urllib.parse": {"urlsplit"},
}
# Attributes that are a clock or dice though their module is not.
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "getnode"}


def imports(tree: ast.AST) -> list[tuple[str, set[str]]]:
    """Return the imported modules and, for `from` imports, the names taken from each."""
    found: list[tuple[str, set[str]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, set()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.append((module, {alias.name for alias in node.names}))
    return found


def allowed(module: str, names: set[str]) -> bool:
    """Tell whether a module of the domain may import `names` from `module`."""
    package = module.split(".", maxsplit=1)[0]
    if package in ALLOWED_PACKAGES:
        return True
    if module in ALLOWED_MODULES:
        only = ALLOWED_MODULES[module]
        return only is None or (bool(names) and names <= only)
    return package in sys.stdlib_module_names and package not in IMPURE


def impurities(source: str) -> list[str]:
    """Return what in `source` a module of the domain must not contain."""
    tree = ast.parse(source)
    found = [module for module, names in imports(tree) if not allowed(module, names)]
    found += [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in IMPURE_CALLS
    ]
    return found + [name for _, names in imports(tree) for name in names & IMPURE_CALLS]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_clock_no_dice_no_way_out(path: Path) -> None:
    """No module of the domain imports more than the pure standard library, eventsourcing.domain,
    pydantic and the domain, nor asks for the time or a random id.
    """
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", ["time"]),
        ("from os import path", ["os"]),
        ("def f():\n    import secrets", ["secrets"]),
        ("import psycopg.rows", ["psycopg.rows"]),
        ("from application.ports import Clock", ["application.ports"]),
        ("from eventsourcing.postgres import PostgresDatastore", ["eventsourcing.postgres"]),
        ("from eventsourcing.utils import get_topic", ["eventsourcing.utils"]),
        ("from . import client", ["."]),
        ("moment = datetime.now(UTC)", ["now"]),
        ("from uuid import UUID, uuid4", ["uuid4"]),
        ("from uuid import UUID\nfrom domain.ids import uuid7", []),
    ],
)
def test_the_check_sees(source: str, found: list[str]) -> None:
    """The check above finds each kind of impurity, and nothing in what is pure."""
    assert impurities(source) == found


def test_the_modules_were_found() -> None:
    """The check above looks at the domain, not at an empty directory."""
    assert ROOT / "domain" / "client.py" in MODULES
