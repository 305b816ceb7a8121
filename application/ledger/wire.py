"""Prepared statements on one connection at the least cost: libpq driven by the event loop.

psycopg's own execute() costs about half a millisecond of CPU a call in an event loop, most of it
for registering and unregistering the socket. That is paid once a commit, and with few requests in
flight a commit carries few tokens (measured at 16 connections: a third of a token's CPU). Here the
socket stays registered, and parameters come encoded.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.errors import lookup

_SUCCESS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_BINARY = 1


Row = tuple[bytes | None, ...]
Answer = asyncio.Future[pq.abc.PGresult]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with `$1`-style parameters, prepared once a connection under its name."""

    name: str
    query: str


class Wire:
    """Drives `connection` from its construction on; one statement at a time.

    The event loop watches a duplicate of its socket. libpq closes its own as soon as the connection
    breaks, and the next connection of the process gets that number: whoever then unregisters the
    broken one makes the loop deaf for the other, whose answers would never be noticed.
    """

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = os.dup(self._pgconn.socket)
        self._prepared: set[str] = set()
        self._waiter: Answer | None = None
        self._last: pq.abc.PGresult | None = None
        try:
            self._loop.add_reader(self._socket, self._readable)
        except OSError:
            os.close(self._socket)
            raise

    @property
    def open(self) -> bool:
        """Whether the connection was whole when it was last looked at."""
        return not self._connection.closed

    def ready_for(self, statement: Statement) -> bool:
        """Tell whether `start` may be called: it is prepared and nothing else is under way."""
        return self.open and self._waiter is None and statement.name in self._prepared

    async def run(
        self, statement: Statement, parameters: Sequence[bytes], *, seconds: float
    ) -> list[Row]:
        """Run a statement with binary parameters and return its rows, binary as well.

        Raises the psycopg error of its SQLSTATE; OperationalError where the connection is lost;
        TimeoutError after `seconds`, and then the connection must be closed.
        """
        if statement.name not in self._prepared:
            self._pgconn.send_prepare(statement.name.encode(), statement.query.encode())
            await self.rows(self._expect(seconds))
            self._prepared.add(statement.name)
        return await self.rows(self.start(statement, parameters, seconds=seconds))

    def start(self, statement: Statement, parameters: Sequence[bytes], *, seconds: float) -> Answer:
        """Send a prepared statement; its rows are had by `rows`. Nothing else until then."""
        try:
            self._pgconn.send_query_prepared(
                statement.name.encode(),
                parameters,
                [_BINARY] * len(parameters),
                result_format=_BINARY,
            )
            return self._expect(seconds)
        except psycopg.OperationalError as error:
            # How much of it was sent is not known: the answer counts as lost.
            lost: Answer = self._loop.create_future()
            lost.set_exception(error)
            self._waiter = None
            return lost

    async def rows(self, answer: Answer) -> list[Row]:
        """Return the rows of what `start` sent; raises as `run` does."""
        try:
            result = await answer
        finally:
            self._waiter = None
        if result.status not in _SUCCESS:
            raise _error(result)
        columns = range(result.nfields)
        return [
            tuple(result.get_value(row, column) for column in columns)
            for row in range(result.ntuples)
        ]

    async def close(self) -> None:
        """Close the connection."""
        if self._socket >= 0:
            self._stop_watching()
            os.close(self._socket)
            self._socket = -1
        await self._connection.close()

    def _expect(self, seconds: float) -> Answer:
        waiter: Answer = self._loop.create_future()
        expiry = self._loop.call_later(seconds, self._fail, TimeoutError())
        waiter.add_done_callback(lambda _: expiry.cancel())
        self._waiter = waiter
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._writable)
        return waiter

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
        self._stop_watching()
        self._fail(error)

    def _stop_watching(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


def _error(result: pq.abc.PGresult) -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    # In the encoding of the session, which may be any, and in the language of the server.
    text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
    message = text.decode(errors="replace")
    try:
        return lookup(state)(message)
    except KeyError:
        return psycopg.OperationalError(message or "the connection was lost")
