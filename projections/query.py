"""A question to a read model, asked the same way from blocking and from async code."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg.rows import kwargs_row
from psycopg.sql import SQL, Composed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A statement with its parameters; `row` makes an answer out of the named columns."""

    statement: SQL | Composed
    parameters: Mapping[str, Any]
    row: Callable[..., T]

    def fetch(self, connection: Connection[Any]) -> list[T]:
        """Return the answers, over a blocking connection. Raises psycopg.Error."""
        with connection.cursor(row_factory=kwargs_row(self.row)) as cursor:
            return cursor.execute(self.statement, self.parameters).fetchall()

    async def fetch_async(self, connection: AsyncConnection[Any]) -> list[T]:
        """Return the answers, over an async connection. Raises psycopg.Error."""
        async with connection.cursor(row_factory=kwargs_row(self.row)) as cursor:
            await cursor.execute(self.statement, self.parameters)
            return await cursor.fetchall()


Asking = Generator[Query[Any], list[Any], T]
"""Yields query after query, is sent their answers, and returns what they lead to."""


def answered(asking: Asking[T], connection: Connection[Any]) -> T:
    """Return what `asking` leads to, over a blocking connection. Raises psycopg.Error."""
    query = next(asking)
    while True:
        try:
            query = asking.send(query.fetch(connection))
        except StopIteration as done:
            found: T = done.value
            return found
