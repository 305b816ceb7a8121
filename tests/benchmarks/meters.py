"""What a round took of the machine: processor time, write-ahead log, commits; and the state of a
write-ahead log that has been written for a while.
"""

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


SEGMENT_BYTES = 16 * 2**20
MOST_SEGMENTS = 128
"""PostgreSQL reuses its files from there on by itself: a checkpoint comes about every 2 GiB."""


class Meters:
    """Reads the meters of one service."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._url = f"postgresql://postgres@/grantledger?host={service.socket_dir}"

    def leave_files_to_reuse(self, wal_bytes: float) -> None:
        """Let PostgreSQL have as many files of its write-ahead log as `wal_bytes` fill.

        A server that has worked for a while reuses files. A new one fills each with zeros first,
        in the midst of a commit: some 12 ms every 16 MiB, which is once a second under full load.
        """
        with psycopg.connect(self._url, autocommit=True) as connection:
            for _ in range(min(MOST_SEGMENTS, 1 + int(wal_bytes / SEGMENT_BYTES))):
                connection.execute("SELECT pg_logical_emit_message(true, 'bench', '')")
                connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")

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
