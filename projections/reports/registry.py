"""Every report there is, by number."""

from projections.reports.blast_radius import BLAST_RADIUS
from projections.reports.client_inventory import CLIENT_INVENTORY
from projections.reports.live_tokens import LIVE_TOKENS
from projections.reports.policy_drift import POLICY_DRIFT
from projections.reports.report import Report
from projections.reports.sample import SAMPLE
from projections.reports.signing_keys import SIGNING_KEYS

REPORTS: tuple[Report, ...] = (
    CLIENT_INVENTORY,
    LIVE_TOKENS,
    POLICY_DRIFT,
    SIGNING_KEYS,
    BLAST_RADIUS,
    SAMPLE,
)
"""Sorted by number."""


def report_named(name: str) -> Report:
    """Return the report called `name`. Raises KeyError, which lists those there are."""
    for report in REPORTS:
        if report.name == name:
            return report
    known = ", ".join(report.name for report in REPORTS)
    raise KeyError(f"no report {name}; there are {known}")
