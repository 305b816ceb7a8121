"""Measures tokens a second beside the sign-only ceiling, in one run on one service.

Each number is the median of several short rounds in which both endpoints take turns, so that what
else the machine does falls on both alike.
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

from tests.benchmarks.by_key import ClientWithKey, with_proofs
from tests.benchmarks.delegations import Delegations
from tests.benchmarks.families import Scene
from tests.benchmarks.load import Measurement, Target, generator, measure
from tests.benchmarks.service import RunningService, running_service, token_request
from tests.benchmarks.sign_only import SIGN_ONLY_PATH

_PATHS = {"sign_only": SIGN_ONLY_PATH, "client_credentials": "/oauth/token"}
REFRESH = "refresh_token"
EXCHANGE = "token_exchange"
BY_KEY = "private_key_jwt"
DPOP = "dpop"
_CEILINGS = {
    "client_credentials": "sign_only",
    REFRESH: "client_credentials",
    EXCHANGE: "client_credentials",
    BY_KEY: "client_credentials",
    DPOP: "client_credentials",
}
"""What each is measured against: signing alone, and a token that nothing is presented for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint at one number of connections; CPU in microseconds a request."""

    endpoint: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    failures: int
    api_cpu_us: float
    postgres_cpu_us: float
    projections_cpu_us: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 where a request failed or the record does not add up."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="grantledger-bench-") as folder:
        Path(folder).chmod(0o755)
        _say(f"starting the service ({options.workers} worker), load by {generator()}")
        with running_service(Path(folder), workers=options.workers) as service:
            rows, lags = _all_rounds(service, options)
            caught_up = _wait_until_projected(service)
            report = {
                "workers": options.workers,
                "generator": generator(),
                "rows": [asdict(row) for row in rows],
                "ratio": _ratios(rows),
                "largest_projection_lag_seconds": max(lags),
                "seconds_to_catch_up": caught_up,
                "worker_resident_bytes": service.resident_bytes(),
            }
    _print_table(rows, report)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    return 1 if any(row.failures for row in rows) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="client_credentials beside the sign-only ceiling, others beside that;"
        " every token durable",
        epilog="example: make bench JSON=bench.json ARGS='--connections 64 --seconds 5'",
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers as data too")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=int, default=4, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each endpoint and connections")
    parser.add_argument("--workers", type=int, default=1, help="API processes")
    return parser.parse_args(arguments)


def _all_rounds(
    service: RunningService, options: argparse.Namespace
) -> tuple[list[Row], list[float]]:
    same = {name: token_request(service, path) for name, path in _PATHS.items()}
    scene = Scene(service)
    scene.prepare()
    same[EXCHANGE] = Delegations(service).request()
    by_key = ClientWithKey(service)

    def target_of(name: str, connections: int) -> Target:
        if name == BY_KEY:
            return by_key.request(options.seconds)
        if name == DPOP:
            return with_proofs(service, options.seconds)
        return same.get(name) or _refresh_request(scene, connections)

    names = [*same, BY_KEY, DPOP, REFRESH]
    for name in names:
        measure(target_of(name, 16), connections=16, seconds=2)  # caches and connections warm
    rows, lags = [], []
    for connections in options.connections:
        rounds: dict[str, list[tuple[Measurement, dict[str, float]]]] = {n: [] for n in names}
        for number in range(options.rounds):
            for name in names:
                _say(f"{name} at {connections} connections, round {number + 1}")
                target = target_of(name, connections)
                rounds[name].append(_round(service, target, connections, options.seconds))
                lags.append(_lag(service))
        rows += [_row(name, connections, taken) for name, taken in rounds.items()]
    return rows, lags


def _refresh_request(scene: Scene, connections: int) -> Target:
    # Fresh families each time: the last answers of a round are lost, and their tokens with them.
    tokens = tuple(scene.refresh_token() for _ in range(connections + 2))
    body = "grant_type=refresh_token&client_id=bench-web"
    return Target(f"{scene.service.url}/oauth/token", "", body, tokens)


def _round(
    service: RunningService, target: Target, connections: int, seconds: float
) -> tuple[Measurement, dict[str, float]]:
    before = service.cpu_seconds()
    measured = measure(target, connections=connections, seconds=seconds)
    after = service.cpu_seconds()
    used = {kind: (after[kind] - before[kind]) / measured.requests * 1e6 for kind in after}
    return measured, used


def _row(name: str, connections: int, taken: Sequence[tuple[Measurement, dict[str, float]]]) -> Row:
    def middle(values: Sequence[float]) -> float:
        return round(statistics.median(values), 3)

    return Row(
        endpoint=name,
        connections=connections,
        rate=middle([measured.rate for measured, _ in taken]),
        p50_ms=middle([measured.p50 for measured, _ in taken]),
        p99_ms=middle([measured.p99 for measured, _ in taken]),
        failures=sum(measured.failures for measured, _ in taken),
        api_cpu_us=middle([used["api"] for _, used in taken]),
        postgres_cpu_us=middle([used["postgres"] for _, used in taken]),
        projections_cpu_us=middle([used["projections"] for _, used in taken]),
    )


def _ratios(rows: Sequence[Row]) -> dict[str, float]:
    rates = {(row.endpoint, row.connections): row.rate for row in rows}
    return {
        f"{endpoint} {connections}": round(rate / rates[_CEILINGS[endpoint], connections], 3)
        for (endpoint, connections), rate in rates.items()
        if endpoint in _CEILINGS
    }


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


def _print_table(rows: Sequence[Row], report: dict[str, Any]) -> None:
    print(
        f"{'endpoint':<20}{'connections':>12}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'API us':>9}{'PG us':>8}{'proj us':>9}{'of the above':>14}"
    )
    for row in rows:
        ratio = report["ratio"].get(f"{row.endpoint} {row.connections}")
        shown = "" if ratio is None else f"{ratio:.0%}"
        print(
            f"{row.endpoint:<20}{row.connections:>12}{row.rate:>12,.0f}{row.p50_ms:>9.2f}"
            f"{row.p99_ms:>9.2f}{row.api_cpu_us:>9.0f}{row.postgres_cpu_us:>8.0f}"
            f"{row.projections_cpu_us:>9.0f}{shown:>14}"
        )
    print(
        f"us: CPU microseconds a request. Largest projection lag seen under load: "
        f"{report['largest_projection_lag_seconds']:.2f} s; memory of a worker: "
        f"{report['worker_resident_bytes'] / 2**20:.0f} MiB; failures: "
        f"{sum(row.failures for row in rows)}."
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
