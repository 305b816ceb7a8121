"""A connection that breaks takes no other one with it."""

import asyncio

import psycopg

from application.ledger.link import Link
from application.ledger.wire import Statement

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
