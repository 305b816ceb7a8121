"""Networks that lose answers and stop carrying, and clients that do not behave."""

import asyncio
from contextlib import suppress

from tests.benchmarks.connection import Connection, Cut
from tests.benchmarks.service import Reachable
from tests.faults.crowd import INTROSPECT, REVOKE
from tests.faults.fault import fault, unnoticed_fault
from tests.faults.stage import Stage, beside

_SLOW = 200
_IDLE = 1000
_LARGE_BYTES = 64 * 1024 + 1
_PARTITION_SECONDS = 12.0
"""Longer than anybody waits for an answer of PostgreSQL and its doubt: 6 and 3 seconds."""
_TOKEN_HEAD = (
    "POST /oauth/token HTTP/1.1\r\nHost: x\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n"
)


@fault
async def commits_cut(stage: Stage) -> None:
    """Connections to PostgreSQL are reset during COMMIT: done, but nobody is told."""
    before = stage.network.cuts
    for _ in range(12):
        stage.network.cut_a_commit()
        await asyncio.sleep(stage.seconds / 12)
    assert stage.network.cuts - before >= 6, "commits were not met"
    stage.ends()


@fault
async def replica_partitioned(stage: Stage) -> None:
    """A replica is cut off from PostgreSQL, without a word, while another one goes on."""
    async with beside(stage) as other:
        held = [await _token(other) for _ in range(5)]
        stage.network.partition()
        await asyncio.sleep(1)
        for token in held:
            await _revoke(other, token)
        asked = [asyncio.create_task(_called_active(stage, token)) for token in held]
        await asyncio.sleep(max(stage.seconds, _PARTITION_SECONDS))
        stage.network.heal()
        active = await asyncio.gather(*asked)
        assert not any(active), "a replica that reads nothing said that a revoked token is active"
        assert stage.crowd.books.answers["503"], "a partition was noticed by nobody"
    stage.ends()


@unnoticed_fault
async def slow_clients(stage: Stage) -> None:
    """200 clients that send a byte a second, and 200 that send half a request and nothing more."""
    slow = [asyncio.create_task(_trickle(stage)) for _ in range(_SLOW)]
    half = [await _open(stage) for _ in range(_SLOW)]
    for _, writer in half:
        writer.write(b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Le")
    await asyncio.sleep(stage.seconds)
    stage.ends()
    await _require_served(stage)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    for _, writer in half:
        writer.transport.abort()


@unnoticed_fault
async def large_bodies(stage: Stage) -> None:
    """Bodies of more than 64 KiB to each endpoint, over and over: all are refused."""
    statuses = set()
    for _ in range(60):
        for path in ("/oauth/token", INTROSPECT, REVOKE, "/oauth/par", "/oauth/register"):
            connection = Connection(stage.service.url)
            with suppress(Cut):
                response = await connection.ask(path, {"token": "x" * _LARGE_BYTES})
                statuses.add(response.status)
            connection.close()
    assert statuses <= {400, 401, 404, 413}, statuses
    assert 413 in statuses, "no body was too large"
    stage.ends()


@unnoticed_fault
async def idle_connections(stage: Stage) -> None:
    """1,000 connections that are opened and never used."""
    idle = [await _open(stage) for _ in range(_IDLE)]
    await asyncio.sleep(stage.seconds)
    stage.ends()
    await _require_served(stage)
    for _, writer in idle:
        writer.transport.abort()


async def _require_served(stage: Stage) -> None:
    """While what disturbs goes on: it is the others that have to be served."""
    await stage.crowd.all_served_since(stage.over)


async def _token(service: Reachable) -> str:
    connection = Connection(service.url)
    form = {"grant_type": "client_credentials", **service.credentials("demo")}
    _, answer = await connection.post("/oauth/token", form)
    connection.close()
    return str(answer["access_token"])


async def _revoke(service: Reachable, token: str) -> None:
    connection = Connection(service.url)
    status, _ = await connection.post(REVOKE, {**service.credentials("demo"), "token": token})
    assert status == 200
    connection.close()


async def _called_active(stage: Stage, token: str) -> bool:
    """Tell whether the replica that is cut off calls `token` active."""
    connection = Connection(stage.service.url)
    form = {**stage.service.credentials("demo"), "token": token}
    try:
        response = await connection.ask(INTROSPECT, form)
    except Cut:
        return False
    finally:
        connection.close()
    return response.status == 200 and bool(response.body["active"])


async def _trickle(stage: Stage) -> None:
    while True:
        _, writer = await _open(stage)
        with suppress(OSError):
            for byte in _TOKEN_HEAD.format(60_000).encode() + b"a" * 60_000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)


async def _open(stage: Stage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", stage.service.port)
