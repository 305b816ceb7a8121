"""A connection that breaks, or cannot be made, takes nothing else with it."""

import asyncio
import os
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.errors import InvalidTextRepresentation
from psycopg.sql import SQL, Identifier

from application.directory import LogDirectory
from application.ledger.errors import LedgerUnavailable
from application.ledger.ledger import Ledger
from application.ledger.link import Link
from application.ledger.mapper import LedgerMapper
from application.ledger.wire import Statement
from tests.builders import records
from tests.conftest import PrivateDatabase
from tests.ledger.attempts import records_again
from tests.postgres import Postgres
from tests.waiting import eventually_async

_WRITERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
_PID = Statement("pid", "SELECT pg_backend_pid()")
_SECONDS = 3.0


async def _backend(link: Link) -> int:
    rows = await asyncio.wait_for(link.fetch(_PID), _SECONDS)
    return int.from_bytes(rows[0][0] or b"", "big")


def _socket(link: Link) -> int:
    assert link._wire is not None
    return link._wire._pgconn.socket


async def _noticed(link: Link) -> None:
    deadline = asyncio.get_running_loop().time() + _SECONDS
    while link.up:
        assert asyncio.get_running_loop().time() < deadline, "the loss was not noticed"
        await asyncio.sleep(0.01)


async def test_a_broken_connection_is_forgotten_without_harm_to_its_successor(
    database_url: str,
) -> None:
    """What broke while nobody used it, and is given up long after, once took the event loop's watch
    from the connection that had got its number: the next answer to that one was never noticed, and
    its requests waited for six seconds and got 503.
    """
    seldom, often = Link(database_url, name="seldom"), Link(database_url, name="often")
    with psycopg.connect(database_url, autocommit=True) as administrator:
        backend = await _backend(seldom)
        number = _socket(seldom)
        administrator.execute("SELECT pg_terminate_backend(%s)", (backend,))
        await _noticed(seldom)
        before = await _backend(often)
        inherited = _socket(often)
        again = await _backend(seldom)  # it is only here that the broken one is given up
        after = await _backend(often)
    await seldom.drop()
    await often.drop()

    assert inherited == number, "the number went elsewhere, and nothing was tried"
    assert again != backend
    assert after == before


async def test_the_writer_outlives_a_process_without_file_descriptors(
    private_database: PrivateDatabase, second_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where connections can be opened but no more files, it refuses, and goes on once it can."""

    tried = []

    def none_left(_: int) -> int:
        tried.append(1)
        raise OSError(24, "Too many open files")

    with psycopg.connect(second_postgres.url("postgres"), autocommit=True) as administrator:
        async with Ledger(private_database.url) as ledger:
            await ledger.writer.append(records())
            _let_in(administrator, private_database.url, "false")
            administrator.execute(_WRITERS, ("% writer",))
            refused = await records_again(ledger)  # from here on it waits for PostgreSQL
            with monkeypatch.context() as machine:
                machine.setattr(os, "dup", none_left)
                _let_in(administrator, private_database.url, "true")
                await eventually_async(lambda: len(tried) >= 2)
            await eventually_async(lambda: records_again(ledger), seconds=5)

    assert not refused


def _let_in(administrator: psycopg.Connection[Any], url: str, allowed: LiteralString) -> None:
    database = Identifier(urlsplit(url).path[1:])
    administrator.execute(
        SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(database, SQL(allowed))
    )


async def test_the_writer_leaves_a_server_that_became_read_only(database_url: str) -> None:
    """A former primary refuses each batch and keeps its connections: by a new one the writer may
    reach the present primary.
    """
    with psycopg.connect(database_url, autocommit=True) as administrator:
        database = Identifier(administrator.info.dbname)
        async with Ledger(database_url) as ledger:
            await ledger.writer.append(records())
            administrator.execute(
                SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database)
            )
            administrator.execute(_WRITERS, ("% writer",))
            await eventually_async(lambda: _refused_by_the_server(ledger), seconds=5)
            administrator.execute("SET default_transaction_read_only = off")
            administrator.execute(
                SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(database)
            )
            await eventually_async(lambda: records_again(ledger), seconds=5)


async def _refused_by_the_server(ledger: Ledger) -> bool:
    try:
        await ledger.writer.append(records())
    except LedgerUnavailable as error:
        return "cannot record" in str(error)
    return False


async def test_errors_of_any_language_and_encoding_are_read(database_url: str) -> None:
    """What the server says is in the encoding of the session; it is the SQLSTATE that decides."""
    link = Link(f"{database_url}&client_encoding=LATIN1", name="test")
    refused = Statement("refused", "SELECT ('x' || chr(233))::int")
    with pytest.raises(InvalidTextRepresentation, match="invalid input syntax"):
        await link.fetch(refused)
    usable = await _backend(link)
    await link.drop()

    assert usable


async def test_the_directory_follows_on_whatever_happened_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failure that nobody foresaw must not leave a process refusing everything for good."""
    failures = []

    async def fails(*_: object) -> list[object]:
        failures.append(1)
        raise ZeroDivisionError

    directory = LogDirectory(Link(database_url, name="directory"), LedgerMapper())
    await directory.start()
    with monkeypatch.context() as once:
        once.setattr(directory._link, "fetch", fails)
        await eventually_async(lambda: bool(failures))
    grown = directory.age
    await eventually_async(lambda: directory.age < grown)
    await directory.close()
