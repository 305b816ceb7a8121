"""What an operator's Prometheus scrapes. Labels come from closed sets, never from a request.

With several workers each writes to files of its own (PROMETHEUS_MULTIPROC_DIR, set by `serve`), and
whoever is asked answers for all: what is of each process is told by each, once a second; what is of
the log or of the read models is as whoever was asked last saw it.
"""

import os
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from api.living_process import lives

REQUESTS = Counter(
    "grantledger_requests_total", "OAuth requests by endpoint and outcome", ["endpoint", "outcome"]
)
SECONDS = Histogram(
    "grantledger_request_seconds",
    "Time to answer an OAuth request",
    ["endpoint"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
LEDGER_AVAILABLE = Gauge(
    "grantledger_ledger_available", "1 while the log accepts events", multiprocess_mode="livemin"
)
DIRECTORY_AGE = Gauge(
    "grantledger_directory_age_seconds",
    "Seconds since the directory was read from the log",
    multiprocess_mode="livemax",
)
COMMITS = Gauge(
    "grantledger_ledger_commits", "Group commits by this service", multiprocess_mode="livesum"
)
EVENTS = Gauge(
    "grantledger_ledger_events", "Events recorded by this service", multiprocess_mode="livesum"
)
LOST_ANSWERS = Gauge(
    "grantledger_ledger_lost_answers",
    "Commits whose answer was lost and that were read back",
    multiprocess_mode="livesum",
)
LOG_POSITION = Gauge(
    "grantledger_log_position", "Position of the last event", multiprocess_mode="livemostrecent"
)
PROJECTION_LAG_SECONDS = Gauge(
    "grantledger_projection_lag_seconds",
    "Age of the oldest event that a read model lacks",
    ["projection"],
    multiprocess_mode="livemostrecent",
)
PROJECTION_LAG_EVENTS = Gauge(
    "grantledger_projection_lag_events",
    "Events that a read model lacks",
    ["projection"],
    multiprocess_mode="livemostrecent",
)
SET_ASIDE_EVENTS = Gauge(
    "grantledger_projection_set_aside_events",
    "Events that a read model cannot take and has set aside",
    ["projection"],
    multiprocess_mode="livemostrecent",
)
ALARMS = Gauge(
    "grantledger_alarms",
    "Conditions that must not be overlooked and that stand now, by name",
    ["alarm"],
    multiprocess_mode="livemostrecent",
)


def render() -> bytes:
    """Return all metrics in the text exposition format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    forget_dead_processes(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_dead_processes(directory: Path) -> None:
    """Take what dead workers told of themselves out of `directory`; what they counted stays."""
    for path in directory.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not lives(pid):
            multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
