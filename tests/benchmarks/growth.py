"""Whether a service slows down as its log grows: the same requests on logs of several sizes.

`python -m tests.benchmarks.growth` (or `make bench-growth`) writes each log (tests.benchmarks.
long_history) into a database of its own, makes the read models from it and starts a service there.
Rates are told beside those of the sign-only endpoint, which reads no log: what else the machine
does falls on both. Flat is what stays within 10% of the smallest log.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from tests.benchmarks.endpoints import CLIENT_CREDENTIALS, SIGN_ONLY, Endpoints
from tests.benchmarks.load import measure
from tests.benchmarks.long_history import write_history
from tests.benchmarks.service import running_service
from tests.postgres import running_postgres

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
ASKED = (CLIENT_CREDENTIALS, "refresh_token", "introspection")
CONNECTIONS = 64
ROUNDS = 5
SECONDS = 3
FLAT = 0.10


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each size and print it; 1 where something is not flat."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.growth", description=__doc__ and __doc__.split("\n")[0]
    )
    parser.add_argument("--events", type=int, nargs="+", default=SIZES, help="sizes of the log")
    options = parser.parse_args(arguments)
    print(f"{'events':>12}{SIGN_ONLY:>20}", *(f"{name:>24}" for name in ASKED), sep="")
    first: dict[str, float] = {}
    flat = True
    for events in options.events:
        rates = _measured(events)
        shares = {name: rates[name] / rates[SIGN_ONLY] for name in ASKED}
        first = first or shares
        changes = {name: shares[name] / first[name] - 1 for name in ASKED}
        flat = flat and all(change > -FLAT for change in changes.values())
        told = [f"{rates[name]:,.0f}/s ({changes[name]:+.0%})" for name in ASKED]
        cells = "".join(f"{text:>24}" for text in told)
        print(f"{events:>12,}{rates[SIGN_ONLY]:>18,.0f}/s{cells}", flush=True)
    print("flat within 10%" if flat else "NOT flat within 10%")
    return 0 if flat else 1


def _measured(events: int) -> dict[str, float]:
    """Return the requests a second of each endpoint on a log of `events`."""
    with (
        running_postgres() as postgres,
        postgres.database() as url,
        tempfile.TemporaryDirectory(prefix="grantledger-bench-") as folder,
    ):
        with running_service(Path(folder), workers=1, database_url=url):
            pass  # a first run registers clients and keys only where there are none
        write_history(url, events, end=datetime.now(UTC), progress=_progress)
        for projection in PROJECTIONS:
            _say(f"making {projection.name}")
            rebuild(url, projection, progress=_progress)
        with running_service(Path(folder), workers=1, database_url=url) as service:
            endpoints = Endpoints(service, SECONDS)
            rates: dict[str, list[float]] = {name: [] for name in (SIGN_ONLY, *ASKED)}
            for number in range(ROUNDS + 1):  # the first warms up
                for name, found in rates.items():
                    _say(f"{name}, round {number}")
                    target = endpoints.asked(name, CONNECTIONS).target
                    found.append(measure(target, connections=CONNECTIONS, seconds=SECONDS).rate)
    return {name: statistics.median(found[1:]) for name, found in rates.items()}


def _progress(done: int, total: int) -> None:
    if done % 500_000 == 0:
        _say(f"{done:,} of {total:,} events")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
