"""Where the time of a request goes: a flame graph of an API worker under load.

`python -m tests.benchmarks.profile client_credentials --out profile.svg` (or `make profile`) looks
at the worker from outside (py-spy), which slows it down by a few percent and changes nothing in it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from tests.benchmarks.endpoints import CLIENT_CREDENTIALS, Endpoints
from tests.benchmarks.load import measure
from tests.benchmarks.service import RunningService, running_service

SECONDS = 10
SAMPLES_A_SECOND = 250
CONNECTIONS = 64
PROFILED = (CLIENT_CREDENTIALS, "refresh_token", "token_exchange", "introspection", "dpop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw it; what py-spy ends with is what this ends with."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.profile", description=__doc__ and __doc__.split("\n")[0]
    )
    parser.add_argument("endpoint", nargs="?", default=CLIENT_CREDENTIALS, choices=PROFILED)
    parser.add_argument(
        "--out", type=Path, default=Path("profile.svg"), help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="grantledger-bench-") as folder:
        Path(folder).chmod(0o755)
        with running_service(Path(folder), workers=1) as service:
            target = Endpoints(service, SECONDS + 4).asked(options.endpoint, CONNECTIONS).target
            load = Thread(
                target=lambda: measure(target, connections=CONNECTIONS, seconds=SECONDS + 2)
            )
            load.start()
            code = _record(service, options.out)
            load.join()
    return code


def _record(service: RunningService, out: Path) -> int:
    command = [str(Path(sys.executable).parent / "py-spy"), "record", "--output", str(out)]
    watched = ["--pid", str(service.worker().pid), "--duration", str(SECONDS)]
    return subprocess.run(
        [*command, *watched, "--rate", str(SAMPLES_A_SECOND), "--nonblocking"], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
