"""What a round took of the machine: processor time, write-ahead log, commits."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import psycopg

from tests.benchmarks.service import RunningService


@dataclass(slots=True)
class Taken:
    """CPU seconds by kind of process; bytes of WAL, the read models' included; commits of the log
    and the events in them.
    """

    cpu: Mapping[str, float] = field(default_factory=dict)
    wal_bytes: float = 0.0
    commits: float = 0.0
    events: float = 0.0


class Meters:
    """Reads the meters of one service."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._url = f"postgresql://postgres@/grantledger?host={service.socket_dir}"

    @contextmanager
    def reading(self) -> Iterator[Taken]:
        """Yield what is complete once the block is left."""
        taken, before = Taken(), self._read()
        yield taken
        after = self._read()
        taken.cpu = {kind: after.cpu[kind] - before.cpu[kind] for kind in after.cpu}
        taken.wal_bytes = after.wal_bytes - before.wal_bytes
        taken.commits = after.commits - before.commits
        taken.events = after.events - before.events

    def _read(self) -> Taken:
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
        assert row is not None
        shown = httpx.get(f"{self._service.url}/metrics").text
        return Taken(
            self._service.cpu_seconds(),
            float(row[0]),
            _metric(shown, "grantledger_ledger_commits"),
            _metric(shown, "grantledger_ledger_events"),
        )


def _metric(shown: str, name: str) -> float:
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in shown.splitlines()
        if line.partition(" ")[0].partition("{")[0] == name
    )
