"""What deciding about codes and tokens takes; each use case adds what it alone needs."""

from typing import Protocol

from application.derived_tokens import DerivedTokens
from application.ports import Directory, EventLog, Ids
from domain.issuance import DeploymentPolicy


class IssuingService(Protocol):
    """What the use cases around authorization have in common."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def directory(self) -> Directory:
        """Clients and principals."""

    @property
    def ids(self) -> Ids:
        """Fresh names."""

    @property
    def policy(self) -> DeploymentPolicy:
        """The rules of the deployment."""

    @property
    def derived(self) -> DerivedTokens:
        """Refresh tokens, codes and device codes."""
