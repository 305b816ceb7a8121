"""Every report there is, by number."""

from projections.reports.blast_radius import BLAST_RADIUS
from projections.reports.policy_drift import POLICY_DRIFT
from projections.reports.report import Report
from projections.reports.sample import SAMPLE
from projections.reports.signing_keys import SIGNING_KEYS

REPORTS: tuple[Report, ...] = (
    POLICY_DRIFT,
    SIGNING_KEYS,
    BLAST_RADIUS,
    SAMPLE,
)
"""Sorted by number."""


def report_named(name: str) -> Report | None:
    """Return the report called `name`, None where there is none."""
    return next((report for report in REPORTS if report.name == name), None)
