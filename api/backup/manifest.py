"""The manifest of a backup: what it holds, what it takes to use it, and the hash of each file.

It names the ids of the keys that the backup needs and never a key.
"""

from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from api.backup.errors import BackupRefused
from application.ledger.schema import MIGRATIONS
from projections.export.manifest import digest

NAME = "manifest.json"
DUMP = "database.dump"
SECRETS = "secrets.json"
FORMAT = "grantledger backup"
FORMAT_VERSION = 1


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the backup."""

    path: str
    bytes: int
    sha256: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What the snapshot holds.

    `position` is the head of the log, 0 for an empty one; `detached` are months that had left it;
    the ids are of the keys without which it cannot sign or recognise secrets.
    """

    schema: int
    position: int
    events: int
    streams: int
    wrapped_keys: int
    logins: int
    passwords: int
    passkeys: int
    detached: tuple[str, ...]
    master_key_ids: tuple[str, ...]
    pepper_ids: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A backup. `postgresql` is the major version of the server, `pg_dump` that of the tool."""

    format: str
    format_version: int
    made_at: datetime
    issuer: str
    postgresql: int
    pg_dump: int
    contents: Contents
    files: tuple[File, ...]


def file_of(path: Path) -> File:
    """Return the entry of a file. Raises OSError."""
    return File(path=path.name, bytes=path.stat().st_size, sha256=digest(path))


def encoded(manifest: Manifest) -> tuple[bytes, str]:
    """Return the bytes of a manifest and their SHA-256 in hexadecimal."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    return content, sha256(content).hexdigest()


def read_backup(directory: Path) -> tuple[Manifest, str]:
    """Return the manifest of a backup and its SHA-256, all files checked. Raises BackupRefused."""
    path = directory / NAME
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise BackupRefused(f"{path}: {error.strerror}: this is no backup") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BackupRefused(f"{path} is not the manifest of a backup") from None
    _require_known(found)
    for file in found.files:
        _require_whole(directory, file)
    if DUMP not in {file.path for file in found.files}:
        raise BackupRefused(f"the manifest names no {DUMP}")
    return found, sha256(content).hexdigest()


def _require_known(found: Manifest) -> None:
    if (found.format, found.format_version) != (FORMAT, FORMAT_VERSION):
        raise BackupRefused(
            f"format {found.format!r} {found.format_version}, this version knows {FORMAT!r}"
            f" {FORMAT_VERSION}: restore it with the version that made it"
        )
    if found.contents.schema > len(MIGRATIONS):
        raise BackupRefused(
            f"the backup is at schema {found.contents.schema}, this version knows"
            f" {len(MIGRATIONS)}: restore it with the newer version"
        )


def _require_whole(directory: Path, file: File) -> None:
    if file.path not in (DUMP, SECRETS):  # a manifest must not lead out of its directory
        raise BackupRefused(f"the manifest names a file that no backup has: {file.path!r}")
    path = directory / file.path
    try:
        whole = file_of(path) == file
    except OSError as error:
        raise BackupRefused(f"{path}: {error.strerror}") from None
    if not whole:
        raise BackupRefused(f"{path} is not the file that the manifest names: its hash differs")
