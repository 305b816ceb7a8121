"""Keys that are rotated while they are used, and a schema that is half made."""

import asyncio
import base64
import json
import os
import secrets
import subprocess
import sys

import psycopg

from tests.cli.running_service import COMMAND, clean_environment, run_command
from tests.faults.fault import fault, unnoticed_fault
from tests.faults.stage import Stage
from tests.waiting import eventually_async

_DEATHS = 12


@unnoticed_fault
async def signing_key_rotated(stage: Stage) -> None:
    """The signing key is rotated three times, at once and without waiting for anybody."""
    kids = stage.crowd.books.kids
    for number in range(1, 4):
        rotated = await asyncio.to_thread(
            run_command,
            *("keys", "rotate", "--reason", "drill", "--data-dir", str(stage.folder)),
            DATABASE_URL=stage.url,
            GRANTLEDGER_JWKS_MAX_AGE="0",
        )
        assert rotated.returncode == 0, rotated.stderr
        # Both workers learn of it by themselves; what the old key signed still counts.
        await eventually_async(lambda: len(kids) == number + 1, seconds=10)  # noqa: B023
        await asyncio.sleep(stage.seconds / 3)
    stage.ends()


@fault
async def pepper_and_master_key_rotated(stage: Stage) -> None:
    """A new pepper and a new master key are put before the old ones, and the service replaced."""
    path = stage.folder / "secrets.json"
    kept = json.loads(path.read_text())
    for name in ("peppers", "master_keys"):
        fresh = base64.b64encode(secrets.token_bytes(32)).decode()
        kept[name] = f"drill-{secrets.token_hex(4)}:{fresh},{kept[name]}"
    path.write_text(json.dumps(kept))
    await asyncio.to_thread(stage.service.stop)
    await asyncio.to_thread(stage.service.start)
    stage.ends()
    await asyncio.sleep(stage.seconds)


@unnoticed_fault
async def migration_interrupted(stage: Stage) -> None:
    """`grantledger migrate` is killed again and again on an empty database, and then let finish."""
    with stage.postgres.database(migrated=False) as url:
        for number in range(_DEATHS):
            await asyncio.to_thread(_die_migrating, url, 0.002 * number)
        finished = await asyncio.to_thread(run_command, "migrate", DATABASE_URL=url)
        assert finished.returncode == 0, finished.stderr
        assert _schema(url) == _schema(stage.url), "the schema is another one"
    stage.ends()


def _die_migrating(url: str, seconds: float) -> None:
    """Kill a migration so many seconds after it came to the database."""
    process = subprocess.Popen(
        [*COMMAND, "migrate"],
        env=clean_environment(DATABASE_URL=url, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_WAIT_FOR_ANOTHER)
        connection.execute("SELECT pg_sleep(%s)", (seconds,))
    process.kill()
    process.wait()


_WAIT_FOR_ANOTHER = """
DO $$ BEGIN
    FOR number IN 1..2000 LOOP
        PERFORM pg_stat_clear_snapshot();
        IF EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                   AND pid <> pg_backend_pid() AND backend_type = 'client backend') THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
    RAISE 'nobody came to migrate';
END $$
"""
_COLUMNS = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'grantledger' AND table_name !~ '_[0-9]{4}_[0-9]{2}' ORDER BY 1, 2, 3
"""


def _schema(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(_COLUMNS).fetchall()
