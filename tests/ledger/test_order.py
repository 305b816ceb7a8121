"""One total order: a reader that tails the log never misses an event.

Eight writer processes, each with a ledger of its own, write units of several events at once; one
is killed at work. Meanwhile a reader follows the log from position to position.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from threading import Event, Thread

import msgspec
import psycopg
from eventsourcing.persistence import Notification

from application.ledger.recorder import (
    APPEND,
    LedgerRecorder,
    append_parameters,
    open_datastore,
)
from tests.builders import records
from tests.ledger.log_table import Row, rows, writer_waits
from tests.ledger.writer_process import Part
from tests.waiting import eventually

WRITERS = tuple(f"writer-{number}" for number in range(7))
DOOMED = "doomed"
UNITS = 120
READ_AT_ONCE = 7  # small and odd, so that batches end inside of units
ROOT = Path(__file__).parents[2]


class Tail:
    """Follows the log in a thread until told to stop at its end."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._last_round = Event()
        self._thread = Thread(target=self._follow)
        self.seen: list[Notification] = []

    def __enter__(self) -> "Tail":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._last_round.set()
        self._thread.join()

    def _follow(self) -> None:
        with open_datastore(self._database_url) as datastore:
            recorder = LedgerRecorder(datastore)
            while True:
                last_round = self._last_round.is_set()
                position = self.seen[-1].id if self.seen else 0
                found = recorder.select_notifications(
                    position, READ_AT_ONCE, inclusive_of_start=False
                )
                self.seen.extend(found)
                if last_round and not found:
                    return


@contextmanager
def writer(database_url: str, name: str, *units: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a writer process, and end it when the block is left early."""
    command = [sys.executable, "-m", "tests.ledger.writer_process", database_url, name, *units]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def parts_in_order(logged: Sequence[Row]) -> list[Part]:
    """Return what the events say that they are, in the order of the log."""
    return [msgspec.json.decode(row.state, type=Part) for row in logged]


def test_no_event_is_missed(database_url: str) -> None:
    """With eight writer processes at once, one killed at work, a tailing reader sees exactly what
    the table holds; positions have no hole, units lie whole and in their writer's order, and all
    that was answered is there.
    """
    with Tail(database_url) as tail, ExitStack() as running:
        doomed = running.enter_context(writer(database_url, DOOMED))
        others = {
            name: running.enter_context(writer(database_url, name, str(UNITS))) for name in WRITERS
        }
        assert doomed.stdout is not None
        answered = {DOOMED: [int(doomed.stdout.readline()) for _ in range(UNITS // 2)]}
        still_writing = [name for name in WRITERS if others[name].poll() is None]
        doomed.kill()
        answered[DOOMED] += _whole_numbers(doomed.communicate()[0])
        for name, process in others.items():
            answered[name] = _whole_numbers(process.communicate(timeout=60)[0])
        eventually(lambda: not _writing(database_url), seconds=10)
    logged = rows(database_url)
    parts = parts_in_order(logged)

    assert still_writing
    assert [(seen.id, seen.originator_id, seen.originator_version) for seen in tail.seen] == [
        (row.position, row.stream, row.version) for row in logged
    ]
    assert [row.position for row in logged] == list(range(1, len(logged) + 1))
    assert units_in_order(parts) == {
        **{name: list(range(UNITS)) for name in WRITERS},
        DOOMED: list(range(len(units_in_order(parts)[DOOMED]))),
    }
    assert {name: answered[name] for name in WRITERS} == {
        name: list(range(UNITS)) for name in WRITERS
    }
    assert set(answered[DOOMED]) <= set(units_in_order(parts)[DOOMED])


def units_in_order(parts: Sequence[Part]) -> dict[str, list[int]]:
    """Return the units of each writer in the order of the log, after checking that they are whole
    and uninterrupted.
    """
    found = defaultdict(list)
    for (name, serial, size), run in groupby(parts, key=lambda p: (p.writer, p.unit, p.parts)):
        assert [part.part for part in run] == list(range(1, size + 1)), (name, serial)
        found[name].append(serial)
    return dict(found)


def _whole_numbers(output: str) -> list[int]:
    # What was printed last may have been cut off by the kill.
    return [int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]


def _writing(database_url: str) -> bool:
    # A backend finishes the statement that its killed client sent.
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'grantledger writer'"
            " AND datname = current_database()"
        ).fetchone()
    return found is not None


def test_no_event_overtakes_an_open_transaction(database_url: str) -> None:
    """While a writer has inserted but not committed, no other event becomes visible; once it has,
    the reader sees both in their order.
    """
    with open_datastore(database_url) as datastore, psycopg.connect(database_url) as first:
        recorder = LedgerRecorder(datastore)
        early, late = records(), records()
        first.execute(APPEND, append_parameters(early))
        second = Thread(target=recorder.insert_events, args=(late,))
        second.start()
        eventually(lambda: writer_waits(database_url))
        seen_early = recorder.select_notifications(None, 10)
        first.commit()
        second.join()
        seen = recorder.select_notifications(None, 10)

    assert seen_early == []
    assert [(event.id, event.originator_id) for event in seen] == [
        (1, early[0].originator_id),
        (2, late[0].originator_id),
    ]
