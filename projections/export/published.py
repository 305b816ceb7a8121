"""Files that are there whole or not at all, whatever the process or the machine dies of.

They hold the record, or a part of it: only their owner may read them, like a backup. A directory
that was there keeps the mode that its owner gave it.
"""

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
    make_private(path.parent)
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        # Made before it is written to: nobody opens it while it is more than private.
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield unfinished
        unfinished.chmod(0o600)  # whatever wrote it may have made it anew
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
    make_private(directory)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(f"{directory} is being written by another process") from None
        yield
    finally:
        os.close(descriptor)


def make_private(directory: Path) -> None:
    """Make `directory`, and those above it that are not there, for their owner alone.

    Raises OSError.
    """
    for missing in reversed([one for one in (directory, *directory.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
