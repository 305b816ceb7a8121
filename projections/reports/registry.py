"""Every report there is, by number."""

from projections.reports.administration import ADMINISTRATION
from projections.reports.audit_access import AUDIT_ACCESS
from projections.reports.blast_radius import BLAST_RADIUS
from projections.reports.client_history import CLIENT_HISTORY
from projections.reports.client_inventory import CLIENT_INVENTORY
from projections.reports.credential_age import CREDENTIAL_AGE
from projections.reports.delegation_depth import DELEGATION_DEPTH
from projections.reports.denials import DENIALS
from projections.reports.dormant_clients import DORMANT_CLIENTS
from projections.reports.forged_tokens import FORGED_TOKENS
from projections.reports.issuance import ISSUANCE
from projections.reports.lineage import LINEAGE
from projections.reports.live_tokens import LIVE_TOKENS
from projections.reports.log_health import LOG_HEALTH
from projections.reports.policy_drift import POLICY_DRIFT
from projections.reports.report import Report
from projections.reports.reuse_incidents import REUSE_INCIDENTS
from projections.reports.revocation_latency import REVOCATION_LATENCY
from projections.reports.sample import SAMPLE
from projections.reports.scope_creep import SCOPE_CREEP
from projections.reports.signing_keys import SIGNING_KEYS
from projections.reports.subject_access import SUBJECT_ACCESS
from projections.reports.unused_grants import UNUSED_GRANTS
from projections.reports.weak_authentication import WEAK_AUTHENTICATION
from projections.reports.who_could_act import WHO_COULD_ACT

REPORTS: tuple[Report, ...] = (
    CLIENT_HISTORY,
    CLIENT_INVENTORY,
    CREDENTIAL_AGE,
    DORMANT_CLIENTS,
    WEAK_AUTHENTICATION,
    LIVE_TOKENS,
    SUBJECT_ACCESS,
    WHO_COULD_ACT,
    DELEGATION_DEPTH,
    LINEAGE,
    ISSUANCE,
    DENIALS,
    UNUSED_GRANTS,
    SCOPE_CREEP,
    POLICY_DRIFT,
    REUSE_INCIDENTS,
    REVOCATION_LATENCY,
    ADMINISTRATION,
    AUDIT_ACCESS,
    LOG_HEALTH,
    SIGNING_KEYS,
    BLAST_RADIUS,
    SAMPLE,
    FORGED_TOKENS,
)
"""Sorted by number."""


def report_named(name: str) -> Report:
    """Return the report called `name`. Raises KeyError, which lists those there are."""
    for report in REPORTS:
        if report.name == name:
            return report
    known = ", ".join(report.name for report in REPORTS)
    raise KeyError(f"no report {name}; there are {known}")
