"""Make a backup while the service runs.

1. Nothing exists under the final name; the backup grows beside it, readable by its owner alone.
2. One snapshot: what is counted, the log, and the tables beside it (wrapped keys, credentials, used
   names, migrations) are seen as of one moment. A private key is stored before its event is
   recorded, so that a snapshot with a key's event has its private half.
3. The manifest comes last, with the hash of each file; only then the directory gets its name.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import IsolationLevel

from api.backup import manifest
from api.backup.contents import contents_of
from api.backup.errors import BackupRefused
from api.backup.manifest import Contents, Manifest
from api.backup.postgresql_programs import Tool, run, tool
from projections.session import open_session

_DUMP = (
    "--format=custom",
    "--schema=grantledger",
    "--schema=read",
    "--no-owner",
    "--no-privileges",
    "--no-unlogged-table-data",  # failed logins and rates: losing them is fine, they are short
)


def take(
    url: str, out: Path, *, issuer: str, now: datetime, secrets_file: Path | None = None
) -> tuple[Manifest, str]:
    """Write a backup of the database `url` to the new directory `out`.

    `secrets_file` is copied into it. Returns the manifest and its SHA-256. Raises BackupRefused,
    OSError and psycopg.Error; nothing is left then.
    """
    with closing(open_session(url, name="backup")) as connection:
        server = connection.info.server_version // 10_000
        program = tool("pg_dump", at_least=server)
        with _published(out) as directory:  # 1
            found = _dumped(connection, url, program, directory)  # 2
            if secrets_file is not None:
                _copy(secrets_file, directory / manifest.SECRETS)
                _require_all(directory / manifest.SECRETS, found)
            made = Manifest(
                format=manifest.FORMAT,
                format_version=manifest.FORMAT_VERSION,
                made_at=now,
                issuer=issuer,
                postgresql=server,
                pg_dump=program.major,
                contents=found,
                files=tuple(manifest.file_of(path) for path in sorted(directory.iterdir())),
            )
            content, digest = manifest.encoded(made)
            _write(directory / manifest.NAME, content)  # 3
    return made, digest


def _dumped(
    connection: psycopg.Connection[tuple[object, ...]], url: str, program: Tool, directory: Path
) -> Contents:
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        _require_no_detaching(connection)
        snapshot = connection.execute("SELECT pg_export_snapshot()").fetchall()[0][0]
        found = contents_of(connection)
        dump = directory / manifest.DUMP
        _write(dump, b"")  # with its permissions, before anything is in it
        run(program, [*_DUMP, f"--snapshot={snapshot}", f"--file={dump}"], url=url)
    return found


def _require_no_detaching(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    # pg_dump would write such a month as attached, and no restore of it could be proven.
    pending = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhdetachpending"
    ).fetchall()
    if pending:
        raise BackupRefused(
            f"{pending[0][0]} is being detached: let `grantledger retention apply` finish first"
        )


@contextmanager
def _published(out: Path) -> Iterator[Path]:
    if out.exists() or out.is_symlink():
        raise BackupRefused(f"{out} exists: a backup needs a name of its own")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}.unfinished")
    unfinished.mkdir(mode=0o700)
    try:
        yield unfinished
        for path in (*unfinished.iterdir(), unfinished):
            _flush(path)
        unfinished.rename(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _flush(out.parent)


def _copy(source: Path, target: Path) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise BackupRefused(
            f"{source}: {error.strerror}: the secrets come from the settings, keep them from there"
        ) from None
    _write(target, content)


def _require_all(path: Path, found: Contents) -> None:
    """Raise BackupRefused unless the secrets in `path` are those that the database needs."""
    try:
        kept = dict(json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise BackupRefused(
            "secrets.json cannot be read: keep the secrets from elsewhere"
        ) from None
    for name, needed in (("master_keys", found.master_key_ids), ("peppers", found.pepper_ids)):
        there = {entry.partition(":")[0] for entry in str(kept.get(name, "")).split(",")}
        lacking = [key_id for key_id in needed if key_id not in there]
        if lacking:
            raise BackupRefused(
                f"secrets.json lacks {name} that the database needs ({', '.join(lacking)}): they"
                " come from the settings, keep them from there"
            )


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
