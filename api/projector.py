"""The process beside the workers that builds the read models.

`serve` keeps it. A program of its own, because the command line imports all that there is: 158 MB
and 1.6 s against 75 MB and 0.6 s.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api.logging_setup import configure_logging
from api.parent_process import when_parent_ends
from application.settings import load_settings
from projections.runner import run


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or Ctrl-C sets."""
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def main() -> None:
    """Build the read models until told to stop, or until the process that began this one ends.

    `serve` has put the effective settings into the environment, the database URL included.
    """
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    assert settings.database_url is not None
    with until_told() as stop:
        when_parent_ends(int(sys.argv[1]), stop.set)
        run(settings.database_url.get_secret_value(), stop)


if __name__ == "__main__":
    main()
