"""Prepared statements on one connection at the least cost: libpq driven by the event loop.

psycopg's own execute() costs about half a millisecond of CPU a call in an event loop, most of it
for registering and unregistering the socket. That is paid once a commit, and with few requests in
flight a commit carries few tokens (measured at 16 connections: a third of a token's CPU). Here the
socket stays registered, and parameters come encoded.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.errors import lookup

_SUCCESS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_BINARY = 1


Row = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with `$1`-style parameters, prepared once a connection under its name."""

    name: str
    query: str


class Wire:
    """Owns the socket of `connection` from its construction on; one statement at a time."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = self._pgconn.socket
        self._prepared: set[str] = set()
        self._waiter: asyncio.Future[pq.abc.PGresult] | None = None
        self._last: pq.abc.PGresult | None = None
        self._loop.add_reader(self._socket, self._readable)

    @property
    def open(self) -> bool:
        """Whether the connection was whole when it was last looked at."""
        return not self._connection.closed

    async def run(
        self, statement: Statement, parameters: Sequence[bytes], *, seconds: float
    ) -> list[Row]:
        """Run a statement with binary parameters and return its rows, binary as well.

        Raises the psycopg error of its SQLSTATE; OperationalError where the connection is lost;
        TimeoutError after `seconds`, and then the connection must be closed.
        """
        name = statement.name.encode()
        if statement.name not in self._prepared:
            self._pgconn.send_prepare(name, statement.query.encode())
            await self._answer(seconds)
            self._prepared.add(statement.name)
        self._pgconn.send_query_prepared(
            name, parameters, [_BINARY] * len(parameters), result_format=_BINARY
        )
        result = await self._answer(seconds)
        columns = range(result.nfields)
        return [
            tuple(result.get_value(row, column) for column in columns)
            for row in range(result.ntuples)
        ]

    async def close(self) -> None:
        """Give the socket back and close the connection."""
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1
        await self._connection.close()

    async def _answer(self, seconds: float) -> pq.abc.PGresult:
        waiter = self._waiter = self._loop.create_future()
        expiry = self._loop.call_later(seconds, self._fail, TimeoutError())
        try:
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self._writable)
            result: pq.abc.PGresult = await waiter
        finally:
            expiry.cancel()
            self._waiter = None
        if result.status not in _SUCCESS:
            raise _error(result)
        return result

    def _readable(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._finish()
                    return
                self._last = result
        except psycopg.OperationalError as error:
            self._lost(error)

    def _writable(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError as error:
            self._lost(error)

    def _finish(self) -> None:
        result, self._last = self._last, None
        if self._waiter is not None and not self._waiter.done() and result is not None:
            self._waiter.set_result(result)
        elif self._pgconn.status == pq.ConnStatus.BAD:
            self._lost(psycopg.OperationalError("the connection was closed"))

    def _lost(self, error: psycopg.OperationalError) -> None:
        # Readable for ever from now on: without this the loop would spin.
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


def _error(result: pq.abc.PGresult) -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
    try:
        return lookup(state)(message)
    except KeyError:
        return psycopg.OperationalError(message or "the connection was lost")
