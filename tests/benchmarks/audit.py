"""The auditor's questions on a long history: how long each takes, on a real PostgreSQL.

`python -m tests.benchmarks.audit --events 5000000` writes the history (tests.benchmarks.
long_history), makes the read models from it, and asks. `make bench-audit` is the same.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections import audit_trail
from projections.event_filter import EventFilter
from projections.export.exporting import export
from projections.export.parts import PositionRange
from projections.query import answered
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from projections.reports.asking import answering
from projections.reports.registry import REPORTS
from projections.session import open_session
from tests.benchmarks.long_history import write_history
from tests.builders import POLICY
from tests.postgres import running_postgres

SEARCHES = 200
_STATEMENTS = "SET statement_timeout = '300s'"


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to ask for, drawn from the history with a seed."""

    clients: Sequence[str]
    subjects: Sequence[str]
    tokens: Sequence[UUID]
    families: Sequence[str]
    head: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure once and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.audit", description=__doc__ and __doc__.split("\n")[0]
    )
    parser.add_argument("--events", type=int, default=5_000_000, help="in the log")
    parser.add_argument("--database", metavar="URL", help="with such a log already")
    options = parser.parse_args(arguments)
    if options.database is not None:
        _measure(options.database, options.events)
        return 0
    with running_postgres() as postgres, postgres.database() as url:
        with _timed(f"history of {options.events:,} events", options.events):
            write_history(url, options.events, end=datetime.now(UTC), progress=_progress)
        _measure(url, options.events)
    return 0


def _measure(url: str, events: int) -> None:
    for projection in PROJECTIONS:
        with _timed(f"rebuild of {projection.name}", events):
            rebuild(url, projection, progress=_progress)
    with closing(open_session(url, name="bench")) as connection:
        connection.execute(_STATEMENTS)
        names = _names(connection)
        _searches(connection, names)
        _reports(connection, names)
    _commands(url, events, names.head)


def _searches(connection: Connection[Any], names: Names) -> None:
    asked: dict[str, Callable[[], EventFilter]] = {
        "client": lambda: EventFilter(client_id=random.choice(names.clients)),
        "subject": lambda: EventFilter(subject=random.choice(names.subjects)),
        "jti": lambda: EventFilter(jti=random.choice(names.tokens)),
        "family": lambda: EventFilter(family_id=random.choice(names.families)),
        "client and refusals": lambda: EventFilter(
            client_id=random.choice(names.clients), topic="grant.denied"
        ),
    }
    for name, filtered in asked.items():
        took = []
        for number in range(SEARCHES):
            began = monotonic()
            query = audit_trail.search(filtered(), newest_first=number % 2 == 0)
            query.fetch(connection)
            took.append((monotonic() - began) * 1e3)
        p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
        _say(f"search by {name}", f"p50 {p50:.1f} ms, p95 {p95:.1f} ms")


def _reports(connection: Connection[Any], names: Names) -> None:
    given = {
        "client_id": names.clients[0],
        "subject": names.subjects[0],
        "jti": str(names.tokens[0]),
        "leaked": names.families[0],
        "seed": "2026",
    }
    for report in REPORTS:
        values = {one.name: given[one.name] for one in report.parameters if one.required}
        for as_of in (None, names.head // 2):
            began = monotonic()
            asking = answering(report, values, as_of, now=datetime.now(UTC), policy=POLICY)
            found = answered(asking, connection)
            took = monotonic() - began
            at = "now" if as_of is None else "as of the middle"
            _say(f"report {report.name}, {at}", f"{took:.2f} s, {len(found.rows):,} rows")


def _commands(url: str, events: int, head: int) -> None:
    with tempfile.TemporaryDirectory(prefix="grantledger-audit-") as folder:
        place = Path(folder)
        environment = {**os.environ, "DATABASE_URL": url, "GRANTLEDGER_DATA_DIR": folder}
        replay = ("replay", "--format", "jsonl")
        with (place / "events.jsonl").open("wb") as out, _timed("replay to JSON lines", events):
            _run(*replay, environment=environment, stdout=out)
        with _timed("export to Parquet", events):
            export(
                url,
                place / "export",
                PositionRange(1, head),
                issuer="https://as.example",
                announce=lambda _range, _rows: None,
                progress=_progress,
            )
        size = sum(file.stat().st_size for file in place.rglob("*.parquet"))
        _say("size of the export", f"{size / events:.0f} bytes an event")


def _run(*arguments: str, environment: dict[str, str], stdout: Any = None) -> None:
    command = [sys.executable, "-m", "api.cli", *arguments]
    subprocess.run(command, env=environment, stdout=stdout, check=True)


def _names(connection: Connection[Any]) -> Names:
    rng = random.Random(1)
    (head,) = connection.execute("SELECT max(position) FROM read.audit_trail").fetchall()[0]
    wanted = sorted(rng.sample(range(1, head + 1), min(head, 5000)))
    rows = connection.execute(
        "SELECT client_id, subject, jti, family_id FROM read.audit_trail WHERE position = ANY(%s)",
        (wanted,),
    ).fetchall()
    columns: list[list[Any]] = [
        sorted({value for value in column if value}) for column in zip(*rows, strict=True)
    ]
    for column in columns:
        rng.shuffle(column)
    clients, subjects, tokens, families = columns
    return Names(clients, subjects, tokens, families, head)


@contextmanager
def _timed(what: str, events: int) -> Iterator[None]:
    began = monotonic()
    yield
    took = monotonic() - began
    _say(what, f"{took:.1f} s, {events / took:,.0f} events/s")


def _say(what: str, found: str) -> None:
    print(f"{what:<52}{found}", flush=True)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:,} of {total:,}", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
