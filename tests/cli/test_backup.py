"""`grantledger backup` and `restore`: what goes in comes out, and nothing else is let in."""

import asyncio
import base64
import json
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.backup.errors import BackupRefused
from api.backup.postgresql_programs import Tool, run, tool
from api.cli.running import record_reading
from application.directory import LogDirectory
from application.ledger.link import Link
from application.ledger.mapper import LedgerMapper
from application.ledger.schema import month_partition
from tests.cli.in_process import CommandLine
from tests.ledger.going_back import losses_of


@pytest.fixture(scope="module")
def backup(projected: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a deployment after its first run."""
    out = tmp_path_factory.mktemp("backups") / "one"
    projected.succeed("backup", "--out", str(out))
    return out


@pytest.fixture
def copy(backup: Path, tmp_path: Path) -> Path:
    """The same backup, to be damaged."""
    directory = tmp_path / "copy"
    directory.mkdir()
    for path in backup.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    return directory


@pytest.fixture
def target(empty_database_url: str, tmp_path: Path) -> CommandLine:
    """The command line on an empty database, with a data directory of its own."""
    data_dir = tmp_path / "target"
    environment = {
        "GRANTLEDGER_DATABASE_URL": empty_database_url,
        "GRANTLEDGER_DATA_DIR": str(data_dir),
    }
    return CommandLine(data_dir, environment)


def _edit(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_backup_is_private_and_names_its_keys(projected: CommandLine, backup: Path) -> None:
    """Only its owner reads a backup; it names the keys it needs by id, and holds none of them."""
    kept = json.loads((projected.data_dir / "secrets.json").read_text())
    manifest = json.loads((backup / "manifest.json").read_text())

    assert sorted(path.name for path in backup.iterdir()) == ["database.dump", "manifest.json"]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in backup.iterdir()} == {0o600}
    assert manifest["contents"]["master_key_ids"] == [kept["master_keys"].split(":")[0]]
    assert manifest["contents"]["pepper_ids"] == [kept["peppers"].split(":")[0]]
    for path in backup.iterdir():
        assert kept["master_keys"].split(":")[1].encode() not in path.read_bytes()
    dump = (backup / "database.dump").read_bytes()
    assert manifest["files"][0]["sha256"] == sha256(dump).hexdigest()


def test_restore_is_proven(projected: CommandLine, backup: Path, target: CommandLine) -> None:
    """A restored database replays to what the manifest says, and the service goes on with it."""
    target.data_dir.mkdir()
    (target.data_dir / "secrets.json").write_text((projected.data_dir / "secrets.json").read_text())
    shown = target.json("restore", str(backup))
    contents = json.loads((backup / "manifest.json").read_text())["contents"]

    assert shown["problems"] == shown["warnings"] == []
    assert (shown["position"], shown["streams"]) == (contents["position"], contents["streams"])
    assert [one["client_id"] for one in target.json("client", "list")] == [
        one["client_id"] for one in projected.json("client", "list")
    ]
    target.succeed("client", "create", "after", "--scope", "service")


def test_taking_and_restoring_are_recorded(backup: Path, target: CommandLine) -> None:
    """Who copied everything, and what a database was restored from, is in the audit trail."""
    target.succeed("restore", str(backup))
    with psycopg.connect(target.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT convert_from(state, 'UTF8')::jsonb ->> 'what' FROM grantledger.ledger_events"
            " WHERE topic = 'audit.read' ORDER BY notification_id"
        ).fetchall()

    assert found[-2:] == [("backup",), ("restore",)]


def test_a_restored_log_says_that_it_went_back(backup: Path, target: CommandLine) -> None:
    """What came after the backup is lost: the log says so, the doctor calls it a problem, and the
    tokens of that time are not taken for forged ones.
    """
    target.succeed("restore", str(backup))
    position = json.loads((backup / "manifest.json").read_text())["contents"]["position"]
    url = target.environment["GRANTLEDGER_DATABASE_URL"]
    findings = json.loads(target.run("doctor", "--json").stdout)

    assert losses_of(url) == [(position, 1)]
    assert {one["check"]: one["level"] for one in findings}["log went back"] == "problem"
    assert asyncio.run(_lost(url, datetime.now(UTC)))


async def _lost(url: str, iat: datetime) -> bool:
    directory = LogDirectory(Link(url, name="test"), LedgerMapper())
    await directory.refresh()
    lost = directory.lost_with_the_log(iat)
    await directory.close()
    return lost


def test_a_missing_master_key_is_a_warning(backup: Path, target: CommandLine) -> None:
    """Without the master key the data is whole; the id of the key that it takes is named."""
    shown = target.json("restore", str(backup))
    needed = json.loads((backup / "manifest.json").read_text())["contents"]["master_key_ids"][0]

    *keys, peppers = shown["warnings"]
    assert shown["problems"] == []
    assert keys
    assert all(f"{needed} is needed" in line for line in keys)
    assert "peppers that secrets and passwords need are not here" in peppers
    assert not (target.data_dir / "secrets.json").exists()


def test_with_secrets_brings_them_back(
    projected: CommandLine, target: CommandLine, tmp_path: Path
) -> None:
    """A backup with its secrets restores to a service that signs, with nothing else at hand."""
    out = tmp_path / "whole"
    projected.succeed("backup", "--out", str(out), "--with-secrets")
    shown = target.json("restore", str(out))

    assert shown["warnings"] == []
    restored = target.data_dir / "secrets.json"
    assert restored.read_text() == (projected.data_dir / "secrets.json").read_text()
    assert stat.S_IMODE(restored.stat().st_mode) == 0o600


def test_secrets_that_are_not_those_of_the_database_are_refused(
    cli: CommandLine, tmp_path: Path
) -> None:
    """Where keys were rotated through the settings, the file that the first start made is old."""
    kept = json.loads((cli.data_dir / "secrets.json").read_text())
    settings = {"GRANTLEDGER_PEPPERS": kept["peppers"]}
    fresh = base64.b64encode(bytes(range(32))).decode()
    settings["GRANTLEDGER_MASTER_KEYS"] = f"newer:{fresh},{kept['master_keys']}"
    rotated = cli.run("keys", "rotate", "--force", "--reason", "drill", **settings)
    result = cli.run("backup", "--out", str(tmp_path / "b"), "--with-secrets", **settings)

    assert (rotated.exit_code, result.exit_code) == (0, 1)
    assert "secrets.json lacks master_keys that the database needs (newer)" in result.stderr
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("content", ["", "[1]", "null", '"x"'])
def test_secrets_that_cannot_be_read_are_refused(
    cli: CommandLine, tmp_path: Path, content: str
) -> None:
    """Where the settings have the secrets, the file may be anything; it is not passed on."""
    path = cli.data_dir / "secrets.json"
    kept = json.loads(path.read_text())
    settings = {f"GRANTLEDGER_{name.upper()}": text for name, text in kept.items()}
    path.write_text(content)
    result = cli.run("backup", "--out", str(tmp_path / "b"), "--with-secrets", **settings)

    assert result.exit_code == 1
    assert "secrets.json cannot be read" in result.stderr
    assert not (tmp_path / "b").exists()


def test_a_month_on_its_way_out_is_waited_for(
    cli: CommandLine, database_url: str, tmp_path: Path
) -> None:
    """pg_dump would write a month whose detaching was broken off as attached."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = %s::regclass",
            (f"grantledger.{month_partition(datetime.now(UTC), -1)[0]}",),
        )
    line = cli.refused("backup", "--out", str(tmp_path / "b"), code=1)

    assert "is being detached: let `grantledger retention apply` finish first" in line


def test_out_that_exists_is_refused(projected: CommandLine, tmp_path: Path) -> None:
    """A backup overwrites nothing."""
    line = projected.refused("backup", "--out", str(tmp_path), code=1)

    assert "exists: a backup needs a name of its own" in line


def test_secrets_that_are_not_in_the_file_are_refused(fresh: CommandLine, tmp_path: Path) -> None:
    """Secrets of the settings are not copied, and no half backup is left."""
    line = fresh.refused("backup", "--out", str(tmp_path / "b"), "--with-secrets", code=1)

    assert "the secrets come from the settings" in line
    assert [path.name for path in tmp_path.iterdir() if "b" in path.name.split(".")] == []


def test_a_target_that_is_not_empty_is_refused(backup: Path, fresh: CommandLine) -> None:
    """Nothing is restored over a log, not even over an empty one."""
    line = fresh.refused("restore", str(backup), code=1)

    assert "the database is not empty" in line


def test_a_table_of_somebody_else_is_refused(backup: Path, target: CommandLine) -> None:
    """A database with any table is not empty."""
    with psycopg.connect(target.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE theirs (id integer)")
    line = target.refused("restore", str(backup), code=1)

    assert "the database is not empty" in line


def _tampered(directory: Path) -> None:
    dump = directory / "database.dump"
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)


def _without(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def _changed(**changes: object) -> Callable[[Path], None]:
    return lambda directory: _edit(directory, lambda manifest: manifest.update(changes))


def _newer_schema(directory: Path) -> None:
    _edit(directory, lambda manifest: manifest["contents"].update(schema=999))


def _led_astray(directory: Path) -> None:
    _edit(directory, lambda manifest: manifest["files"][0].update(path="../database.dump"))


def _without_files(directory: Path) -> None:
    _edit(directory, lambda manifest: manifest.update(files=[]))


def _no_json(directory: Path) -> None:
    (directory / "manifest.json").write_bytes(b"\xff{")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(_tampered, "its hash differs", id="a changed byte"),
        pytest.param(_without("database.dump"), "No such file", id="no dump"),
        pytest.param(_without("manifest.json"), "this is no backup", id="no manifest"),
        pytest.param(_no_json, "is not the manifest", id="a manifest that is no JSON"),
        pytest.param(_changed(format="other"), "restore it with the version", id="another format"),
        pytest.param(_changed(format_version=2), "restore it with the version", id="newer format"),
        pytest.param(_newer_schema, "restore it with the newer version", id="newer schema"),
        pytest.param(_changed(postgresql=99), "is of PostgreSQL 99", id="newer PostgreSQL"),
        pytest.param(_changed(pg_dump=99), "pg_restore of PostgreSQL 99", id="no tool for it"),
        pytest.param(_led_astray, "a file that no backup has", id="out of its directory"),
        pytest.param(_without_files, "names no database.dump", id="no file named"),
    ],
)
def test_damaged_backups_are_refused(
    damage: Callable[[Path], None], reason: str, copy: Path, target: CommandLine
) -> None:
    """What is not whole, or not understood, is refused before the database is touched."""
    damage(copy)
    line = target.refused("restore", str(copy), code=1)

    assert reason in line
    with psycopg.connect(target.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        known = connection.execute("SELECT to_regnamespace('grantledger')").fetchone()
    assert known == (None,)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"position": 999}, "position: "),
        ({"logins": 5}, "logins: 0, the manifest says 5"),
        ({"master_key_ids": []}, "master_key_ids: "),
    ],
)
def test_a_manifest_of_something_else_fails_the_proof(
    change: dict[str, object], problem: str, copy: Path, target: CommandLine
) -> None:
    """A database that is not what the manifest says is a problem, and the exit code is 1."""
    _edit(copy, lambda manifest: manifest["contents"].update(change))
    result = target.run("restore", str(copy), "--json")

    assert result.exit_code == 1
    assert any(one.startswith(problem) for one in json.loads(result.stdout)["problems"])


_DRIFT = "DELETE FROM read.audit_trail WHERE position = 2"
_UNREADABLE = "UPDATE grantledger.ledger_events SET state = '{}' WHERE notification_id = 3"


@pytest.mark.parametrize(
    ("damage", "problems"),
    [
        (_DRIFT, ["read model audit_trail is not what the log says: missing: 2"]),
        (_UNREADABLE, ["cannot be folded", "audit_trail is not what the log says: differing: 3"]),
    ],
)
def test_what_no_hash_can_see_fails_the_proof(
    damage: str,
    problems: list[str],
    cli: CommandLine,
    database_url: str,
    target: CommandLine,
    tmp_path: Path,
) -> None:
    """A read model that lies, and an event that nobody can read, come out by the replay."""
    cli.succeed("projections", "rebuild", "audit_trail")
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")  # past the triggers
        connection.execute(damage.encode())
    cli.succeed("backup", "--out", str(tmp_path / "b"))
    result = target.run("restore", str(tmp_path / "b"), "--json")

    found = " ".join(json.loads(result.stdout)["problems"])
    assert result.exit_code == 1
    assert all(problem in found for problem in problems), found


@pytest.mark.parametrize("directories", [[], ["empty"]])
def test_a_missing_tool_is_named(directories: list[str], tmp_path: Path) -> None:
    """Where no pg_dump is new enough, it says which one is needed and what to install."""
    with pytest.raises(BackupRefused, match="postgresql-client-16"):
        tool("pg_dump", at_least=16, search=[tmp_path / name for name in directories])


def test_a_backup_under_load_is_of_one_moment(
    cli: CommandLine, database_url: str, target: CommandLine, tmp_path: Path
) -> None:
    """What is recorded while it is taken is in it whole or not at all, and the proof holds."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            record_reading(database_url, "events", "")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        cli.succeed("backup", "--out", str(tmp_path / "b"))
    finally:
        stop.set()
        writer.join()
    shown = target.json("restore", str(tmp_path / "b"))

    assert shown["problems"] == []
    assert shown["position"] == shown["events"]


def test_a_password_is_not_among_the_arguments(tmp_path: Path) -> None:
    """Everybody on the machine sees the arguments of a process: a password goes elsewhere."""
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "$@ password=$PGPASSWORD" >&2\nexit 1\n')
    program.chmod(0o700)
    with pytest.raises(BackupRefused) as refused:
        run(Tool(program, 16), ["--format=custom"], url="postgresql://me:hunter2@db/ours")

    arguments, _, password = str(refused.value).partition(" password=")
    assert "hunter2" not in arguments
    assert "dbname=ours" in arguments
    assert password == "hunter2"  # of no database


def test_what_a_program_says_went_wrong_is_told(tmp_path: Path) -> None:
    """pg_restore says first where it was; and a server may speak any language."""
    program = tmp_path / "pg_restore"
    said = r"pg_restore: while PROCESSING TOC:\npg_restore: error: \351chec\n"
    program.write_text(f"#!/bin/sh\nprintf '{said}' >&2\nexit 1\n")
    program.chmod(0o700)
    with pytest.raises(BackupRefused, match=r"pg_restore: error: .chec"):
        run(Tool(program, 16), [], url="postgresql://me@db/ours")
