"""Files that are there whole or not at all, whatever the process or the machine dies of."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"
"""How the names of files end that are being written; no reader of Parquet takes them for one."""


class DirectoryInUse(Exception):
    """Another process writes into the directory."""


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Yield the name to write to; give it the name `path` once it is on the disk. Raises OSError.

    Where the block raises, nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        yield unfinished
        _flush(unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _flush(path.parent)


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Keep other writers out of `directory`, which is made. Raises DirectoryInUse and OSError.

    The lock falls with the process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(f"{directory} is being written by another process") from None
        yield
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
