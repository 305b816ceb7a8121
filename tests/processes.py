"""Processes of a service, looked at while they come and go."""

from contextlib import suppress

import psutil


def living_children(parent: int, marker: str) -> list[psutil.Process]:
    """Return the living children of a process whose command has `marker`, the oldest first."""
    found = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.NoSuchProcess):  # it ended while we looked
            if not ended(child) and marker in " ".join(child.cmdline()):
                found.append(child)
    return sorted(found, key=psutil.Process.create_time)


def ended(process: psutil.Process) -> bool:
    """Tell whether a process has ended, reaped or not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
