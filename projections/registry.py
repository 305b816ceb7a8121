"""All read models of this version."""

from collections.abc import Sequence

from projections.audit_trail import AUDIT_TRAIL
from projections.client_last_used import CLIENT_LAST_USED
from projections.delegations import DELEGATIONS
from projections.forged_tokens import FORGED_TOKENS
from projections.projection import Projection
from projections.sessions import SESSIONS

PROJECTIONS: Sequence[Projection] = (
    AUDIT_TRAIL,
    CLIENT_LAST_USED,
    SESSIONS,
    DELEGATIONS,
    FORGED_TOKENS,
)


def projection_named(name: str) -> Projection:
    """Return the projection called `name`. Raises KeyError, which lists those there are."""
    for projection in PROJECTIONS:
        if projection.name == name:
            return projection
    known = ", ".join(projection.name for projection in PROJECTIONS)
    raise KeyError(f"no projection {name}; there are {known}")
