"""A projector process that hangs between writing a batch and committing it, until it is killed.

`python -m tests.projections.hanging_projector DATABASE_URL` prints "written" when it got there.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from projections.audit_trail import AUDIT_TRAIL
from projections.projection import LoggedEvent
from projections.runner import Projector


def _write_and_hang(
    cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]
) -> None:
    AUDIT_TRAIL.write(cursor, table, events)
    sys.stdout.write("written\n")
    sys.stdout.flush()
    Event().wait()


if __name__ == "__main__":
    Projector(sys.argv[1], [replace(AUDIT_TRAIL, write=_write_and_hang)]).run(Event())
