"""What a read model consists of, and the events it is made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

READ_SCHEMA = "read"


class LoggedEvent(NamedTuple):
    """One event of the log, its facts upcast to the present version.

    `recorded_at` and `stream_id` are as PostgreSQL writes them: they go back there unread. `facts`
    are shared between the projections: no projection may change them.
    """

    position: int
    recorded_at: str
    topic: str
    stream_id: str
    facts: dict[str, Any]


class SetAside(NamedTuple):
    """An event that a read model cannot take, and why: never what it holds."""

    position: int
    recorded_at: str
    topic: str
    stream_id: str
    reason: str


Write = Callable[[Cursor[TupleRow], Composed, Sequence[LoggedEvent]], None]
"""Writes the rows of a batch, oldest event first, into the table it is given."""


StandIn = Callable[[Cursor[TupleRow], Composed, Sequence[SetAside]], None]
"""Writes the rows that stand in for events set aside, into the table it is given."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model `read.<name>`, kept in numbered builds `read.<name>_b<build>`.

    `columns` is the body of CREATE TABLE, primary key included. `indexes` are (suffix, definition)
    and are made once a build is filled. `topics` are the topics that `write` is given, None for
    every one. `key` is the primary key. `version` counts up whenever columns, indexes or the
    meaning of a row change: the read model is then made anew from the log. `in_any_order` says that
    events may be written in any order of batches with the same outcome, from several processes.
    `stand_in` is for read models that show every event by its position (projections.set_aside).
    """

    name: str
    columns: str
    key: tuple[str, ...]
    topics: frozenset[str] | None
    write: Write
    indexes: tuple[tuple[str, str], ...] = ()
    version: int = 1
    in_any_order: bool = False
    stand_in: StandIn | None = None

    def handles(self, topic: str) -> bool:
        """Tell whether events of `topic` change the read model."""
        return self.topics is None or topic in self.topics

    def table(self, build: int) -> Composed:
        """Return the qualified name of the table of `build`."""
        return SQL("{}").format(Identifier(READ_SCHEMA, self.table_name(build)))

    def table_name(self, build: int) -> str:
        """Return the bare name of the table of `build`."""
        return f"{self.name}_b{build}"

    @property
    def view(self) -> Composed:
        """The qualified name of the view that shows the live build."""
        return SQL("{}").format(Identifier(READ_SCHEMA, self.name))


def checked_moment(value: str) -> str:
    """Return a moment as the event wrote it. Raises ValueError or OverflowError for one that this
    program could not read again, though PostgreSQL would take it ("infinity", the year 10000).
    """
    datetime.fromisoformat(value).astimezone(UTC)
    return value


Name = TypeVar("Name", str, str | None)
INDEXED_BYTES = 2_600
"""What fits into an entry of an index beside a position: PostgreSQL takes 2,704 bytes in all."""


def indexed(name: Name) -> Name:
    """Return a name that an index leads to. Raises ValueError where it is too long for an entry.

    Asked of PostgreSQL itself, the answer would depend on whether the index is there yet: a rebuild
    fills a table first, and could then not index it.
    """
    if name and 4 * len(name) > INDEXED_BYTES and len(name.encode()) > INDEXED_BYTES:
        raise ValueError(f"more than {INDEXED_BYTES} bytes in an index")
    return name


def shown_actor(actor: dict[str, Any]) -> str:
    """Return an actor of a recorded chain as one name: "subject", or "subject @ issuer"."""
    subject, issuer = actor["subject"], actor["issuer"]
    return str(subject) if issuer is None else f"{subject} @ {issuer}"
