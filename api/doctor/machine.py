"""The machine and its files: who may read what, room on the disk, whether a service answers."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from api.cli.over_http import is_ready
from api.doctor.finding import Finding, fine, problem, warning
from api.first_run import BOOTSTRAP_FILE
from application.secrets_file import SECRETS_FILE
from application.settings import Settings

FREE_BYTES = 2 * 2**30
_OF_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def examine_machine(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say about files, disk and service."""
    for name in (SECRETS_FILE, BOOTSTRAP_FILE):
        yield from _private(settings.data_dir / name)
    yield _bootstrap(settings)
    yield _disk(settings.data_dir)
    yield _service(settings)


def _private(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield problem(path.name, f"others may read it ({mode:04o})", f"chmod 600 {path}")
    else:
        yield fine(path.name, "its owner alone may read it")


def _bootstrap(settings: Settings) -> Finding:
    path = settings.data_dir / BOOTSTRAP_FILE
    if path.exists() and not _is_local(settings):
        return warning(
            "first secrets",
            f"{path} still has those of the clients demo and administration",
            "give your administrators clients of their own, disable these two, delete the file",
        )
    return fine("first secrets", "none lie around" if not path.exists() else "for this machine")


def _disk(data_dir: Path) -> Finding:
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:,.1f} GiB free at {place}"
    if free < FREE_BYTES:
        return warning("disk", found, "make room: without any, nothing can be recorded or issued")
    return fine("disk", found)


def _service(settings: Settings) -> Finding:
    if is_ready(settings.issuer_url):
        return fine("service", f"ready at {settings.issuer_url}")
    return warning(
        "service",
        f"nothing says at {settings.issuer_url}/readyz that it is ready",
        "start it with `grantledger serve`; where it runs, its log says what it lacks",
    )


def _is_local(settings: Settings) -> bool:
    return urlsplit(settings.issuer_url).hostname in _OF_LOOPBACK
