"""Issues a number of tokens over HTTP and counts them again everywhere they must be.

`python -m tests.benchmarks.exactness --tokens 100000`: so many TokenIssued, so many audit rows, so
many uses of client, credential and scopes, a drift check that is clean, and positions without a
hole.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import psycopg

from projections.registry import PROJECTIONS
from projections.verify import verify
from tests.benchmarks.load import send
from tests.benchmarks.service import RunningService, running_service, token_request


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; 1 where any count is off."""
    parser = argparse.ArgumentParser(description="every token is recorded and counted once")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="grantledger-exactness-") as folder:
        Path(folder).chmod(0o755)
        with running_service(Path(folder), workers=options.workers) as service:
            measured = send(token_request(service), requests=options.tokens, connections=64)
            print(
                f"{measured.requests} answers, {measured.failures} failures, "
                f"{measured.rate:,.0f} a second"
            )
            began = monotonic()
            while any(s["lag_events"] for s in service.readiness()["projections"].values()):
                if monotonic() - began > 120:
                    raise RuntimeError("the projections do not catch up")
            print(f"read models complete {monotonic() - began:.2f} s after the last answer")
            return _check(_database_url(service), options.tokens)


def _check(database_url: str, tokens: int) -> int:
    off = 0
    for what, (query, expected) in {
        **{name: (query, tokens) for name, query in _COUNTS.items()},
        "positions missing in the log": (_HOLES, 0),
    }.items():
        found = _number(database_url, query)
        off += found != expected
        print(f"{what:<44}{found:>10}  {'ok' if found == expected else f'EXPECTED {expected}'}")
    for projection in PROJECTIONS:
        report = verify(database_url, projection)
        off += not report.clean
        print(f"drift check of {projection.name:<29}{'clean' if report.clean else 'DRIFT':>10}")
    return 1 if off else 0


def _number(database_url: str, query: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


_COUNTS = {
    "TokenIssued in the log": (
        "SELECT count(*) FROM grantledger.ledger_events WHERE topic = 'token.issued'"
    ),
    "audit rows": "SELECT count(*) FROM read.audit_trail WHERE topic = 'token.issued'",
    "distinct jti in the audit rows": (
        "SELECT count(DISTINCT jti) FROM read.audit_trail WHERE topic = 'token.issued'"
    ),
    "uses of the client": (
        "SELECT uses FROM read.client_last_used WHERE client_id = 'demo' AND kind = 'client'"
    ),
    "uses of its credential": (
        "SELECT sum(uses) FROM read.client_last_used"
        " WHERE client_id = 'demo' AND kind = 'credential'"
    ),
    "uses of the scope service": (
        "SELECT uses FROM read.client_last_used"
        " WHERE client_id = 'demo' AND kind = 'scope' AND name = 'service'"
    ),
}
_HOLES = "SELECT max(notification_id) - count(*) FROM grantledger.ledger_events"


def _database_url(service: RunningService) -> str:
    return f"postgresql://postgres@/grantledger?host={service.socket_dir}"


if __name__ == "__main__":
    sys.exit(main())
