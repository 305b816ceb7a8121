"""Child process of the faults: `grantledger serve` by a clock that can be moved.

`python -m tests.faults.serve FOLDER PORT WORKERS`. The clock is the machine's and the seconds that
the file FOLDER/clock says, eight bytes: the port Clock is what our service takes for the time.
"""

import mmap
import os
import struct
import sys
from datetime import datetime, timedelta
from pathlib import Path

from litestar.types import ASGIApp

from api import composition, server, worker
from api.logging_setup import configure_logging
from application.clock import SystemClock
from application.settings import load_settings

CLOCK = "clock"
SECONDS = struct.Struct("d")


class MovedClock(SystemClock):
    """The machine's clock, as many seconds off as the file says at the moment."""

    def __init__(self) -> None:
        path = Path(os.environ["GRANTLEDGER_DATA_DIR"]) / CLOCK
        with path.open("rb") as file:
            self._seconds = mmap.mmap(file.fileno(), SECONDS.size, prot=mmap.PROT_READ)

    def now(self) -> datetime:
        """Return the moved moment."""
        (seconds,) = SECONDS.unpack(self._seconds[:])
        return super().now() + timedelta(seconds=seconds)


def application() -> ASGIApp:
    """Return the application of a worker, by the moved clock."""
    setattr(composition, "SystemClock", MovedClock)  # noqa: B010  # a name that is not exported
    return worker.application()


if __name__ == "__main__":
    folder, port, workers = sys.argv[1:]
    configure_logging("warning")
    server.serve(
        load_settings(
            data_dir=Path(folder),
            port=int(port),
            workers=int(workers),
            log_level="warning",
            rate_limit_authorize_per_address="",  # all people share one address
            rate_limit_failed_authentication_per_address="",
        ),
        announce=lambda _: None,
        target="tests.faults.serve:application",
    )
