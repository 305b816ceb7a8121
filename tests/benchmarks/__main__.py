"""Measures every endpoint beside the sign-only ceiling, in one run on one service.

Each number is the median of several short rounds in which the endpoints take turns, so that what
else the machine does falls on all alike. First every endpoint on one worker; then, at 64
connections, tokens with several workers and with the other signing algorithms.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tests.benchmarks.endpoints import CEILINGS, CLIENT_CREDENTIALS, SIGN_ONLY, Asked, Endpoints
from tests.benchmarks.load import Measurement, generator, measure, send
from tests.benchmarks.meters import Meters, Taken
from tests.benchmarks.service import RunningService, running_service

ALGORITHM = "ES256"
WAL_BYTES_A_SECOND = 15e6
_COMPARED = (SIGN_ONLY, CLIENT_CREDENTIALS)
_COMPARED_AT = 64


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint at one number of connections; CPU in microseconds, WAL in bytes a request."""

    endpoint: str
    workers: int
    algorithm: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    failures: int
    api_cpu_us: float
    postgres_cpu_us: float
    projections_cpu_us: float
    wal_bytes: float
    events_a_commit: float
    of_ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """A service to measure, and what to ask of it; every endpoint where none is named."""

    workers: int
    algorithm: str
    endpoints: Sequence[str]
    connections: Sequence[int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 where a request failed."""
    options = _options(arguments)
    rows: list[Row] = []
    _print_head()
    reports = [_measured(setup, options, rows) for setup in _setups(options)]
    if options.json:
        found = {"generator": generator(), "rows": [asdict(row) for row in rows], "runs": reports}
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n")
    return 1 if any(row.failures for row in rows) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="every endpoint beside the sign-only ceiling; every token durable",
        epilog="example: make bench JSON=bench.json ARGS='--connections 64 --seconds 5'",
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers as data too")
    parser.add_argument("--endpoints", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--seconds", type=int, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each endpoint and connections")
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 4], help="besides one")
    parser.add_argument("--algorithms", nargs="*", default=["EdDSA", "RS256"], help="besides ES256")
    return parser.parse_args(arguments)


def _setups(options: argparse.Namespace) -> Sequence[Setup]:
    compared = (_COMPARED, (_COMPARED_AT,))
    return (
        Setup(1, ALGORITHM, options.endpoints, options.connections),
        *(Setup(workers, ALGORITHM, *compared) for workers in options.workers),
        *(Setup(1, algorithm, *compared) for algorithm in options.algorithms),
    )


def _measured(setup: Setup, options: argparse.Namespace, rows: list[Row]) -> dict[str, Any]:
    """Measure one setup, print it, add it to `rows`, and return what it was like."""
    with tempfile.TemporaryDirectory(prefix="grantledger-bench-") as folder:
        Path(folder).chmod(0o755)
        _say(f"starting {setup.workers} worker(s), {setup.algorithm}, load by {generator()}")
        with running_service(
            Path(folder), workers=setup.workers, algorithm=setup.algorithm
        ) as service:
            found, lags = _all_rounds(service, setup, options)
            report = {
                "workers": setup.workers,
                "algorithm": setup.algorithm,
                "largest_projection_lag_seconds": max(lags),
                "seconds_to_catch_up": _wait_until_projected(service),
                "worker_resident_bytes": service.resident_bytes(),
            }
    rows += found
    _print_report(report)
    return report


def _all_rounds(
    service: RunningService, setup: Setup, options: argparse.Namespace
) -> tuple[list[Row], list[float]]:
    endpoints, meters = Endpoints(service, options.seconds), Meters(service)
    names = setup.endpoints or endpoints.names
    for name in names:
        _sent(endpoints.asked(name, 16), 16, 2)  # caches and connections warm
    seconds = len(setup.connections) * options.rounds * len(names) * options.seconds
    _say("writing the files of the write-ahead log that a server has which ran for a while")
    meters.leave_files_to_reuse(seconds * WAL_BYTES_A_SECOND)
    rows: list[Row] = []
    lags = []
    for connections in setup.connections:
        rounds: dict[str, list[tuple[Measurement, Taken]]] = {name: [] for name in names}
        for number in range(options.rounds):
            for name in names:
                _say(f"{name} at {connections} connections, round {number + 1}")
                asked = endpoints.asked(name, connections)
                with meters.reading() as taken:
                    measured = _sent(asked, connections, options.seconds)
                rounds[name].append((measured, taken))
                lags.append(_lag(service))
        rates = {name: _middle([one.rate for one, _ in taken]) for name, taken in rounds.items()}
        for name, measurements in rounds.items():
            row = _row(name, setup, connections, measurements, rates)
            _print_row(row)
            rows.append(row)
    return rows, lags


def _sent(asked: Asked, connections: int, seconds: float) -> Measurement:
    if asked.requests is not None:
        return send(asked.target, requests=asked.requests, connections=connections)
    return measure(asked.target, connections=connections, seconds=seconds)


def _row(
    name: str,
    setup: Setup,
    connections: int,
    measured: Sequence[tuple[Measurement, Taken]],
    rates: dict[str, float],
) -> Row:
    def each(kind: str) -> float:
        return _middle([taken.cpu[kind] / one.requests * 1e6 for one, taken in measured])

    ceiling = rates.get(CEILINGS.get(name, ""))
    return Row(
        endpoint=name,
        workers=setup.workers,
        algorithm=setup.algorithm,
        connections=connections,
        rate=rates[name],
        p50_ms=_middle([one.p50 for one, _ in measured]),
        p99_ms=_middle([one.p99 for one, _ in measured]),
        failures=sum(one.failures for one, _ in measured),
        api_cpu_us=each("api"),
        postgres_cpu_us=each("postgres"),
        projections_cpu_us=each("projections"),
        wal_bytes=_middle([taken.wal_bytes / one.requests for one, taken in measured]),
        events_a_commit=_middle([taken.events / max(1, taken.commits) for _, taken in measured]),
        of_ceiling=round(rates[name] / ceiling, 3) if ceiling else None,
    )


def _middle(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def _lag(service: RunningService) -> float:
    projections = service.readiness()["projections"]
    return max(float(status["lag_seconds"]) for status in projections.values())


def _wait_until_projected(service: RunningService) -> float:
    began = monotonic()
    while monotonic() - began < 60:
        projections = service.readiness()["projections"]
        if all(status["lag_events"] == 0 for status in projections.values()):
            break
    return round(monotonic() - began, 3)


def _print_head() -> None:
    print(
        f"{'endpoint':<22}{'workers':>8}{'signed':>8}{'conn.':>7}{'a second':>10}{'of':>6}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'API us':>8}{'PG us':>7}{'proj us':>8}{'WAL B':>8}"
        f"{'ev/commit':>10}{'failed':>8}",
        flush=True,
    )


def _print_row(row: Row) -> None:
    of_ceiling = "" if row.of_ceiling is None else f"{row.of_ceiling:.0%}"
    print(
        f"{row.endpoint:<22}{row.workers:>8}{row.algorithm:>8}{row.connections:>7}"
        f"{row.rate:>10,.0f}{of_ceiling:>6}{row.p50_ms:>9.2f}{row.p99_ms:>9.2f}"
        f"{row.api_cpu_us:>8.0f}{row.postgres_cpu_us:>7.0f}{row.projections_cpu_us:>8.0f}"
        f"{row.wal_bytes:>8,.0f}{row.events_a_commit:>10.1f}{row.failures:>8}",
        flush=True,
    )


def _print_report(report: dict[str, Any]) -> None:
    print(
        f"{report['workers']} worker(s), {report['algorithm']}: projections at most"
        f" {report['largest_projection_lag_seconds']:.2f} s behind, caught up in"
        f" {report['seconds_to_catch_up']:.2f} s; memory of a worker"
        f" {report['worker_resident_bytes'] / 2**20:.0f} MiB.",
        flush=True,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
