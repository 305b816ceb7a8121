"""What a check found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What `check` found; `fix` says what to do, and is empty where all is well."""

    check: str
    level: Level
    found: str
    fix: str = ""


def fine(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, fix: str) -> Finding:
    """Return what should not stay so."""
    return Finding(check, Level.WARNING, found, fix)


def problem(check: str, found: str, fix: str) -> Finding:
    """Return what does not work, or will not."""
    return Finding(check, Level.PROBLEM, found, fix)
