"""Whether a person still lets a client have what it redeems: asked before a redemption is decided,
and once more when it is recorded.

Redemption and withdrawal share no stream, so that neither makes the other conflict; an event of
each redemption in the person's consents would, and let that stream grow without end. But the log is
one order (application.ledger.schema), and what was committed before a load is seen by it:

- a withdrawal that comes before the redemption is seen by the second look, and what was issued is
  ended before anybody holds it;
- one that comes after finds the family by the position of its own event (api.account_pages).

Consent that was withdrawn and given again is consent to what is decided from then on: a code or
device that was let through before the withdrawal is refused (`Agreed.since`).
"""

from dataclasses import dataclass
from datetime import datetime

from application.ending import EndingService, end_family, end_tokens
from application.errors import UnusableGrant, from_domain
from domain.access_token import AccessToken
from domain.client import Client
from domain.consents import Consents
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy
from domain.provenance import Provenance
from domain.refresh_token_family import RefreshTokenFamily


@dataclass(frozen=True, slots=True)
class Agreed:
    """What has to be consented to: `scope`, for the client, by the person `subject`, at `resource`
    and by way of `redirect_target` (None for a device). `since` is when the person, or its consent,
    let that through which is redeemed (UTC); None where it is being decided now.
    """

    client_id: str
    subject: str
    scope: tuple[str, ...]
    resource: tuple[str, ...]
    redirect_target: str | None = None
    since: datetime | None = None

    def covered_by(self, consents: object) -> bool:
        """Tell whether a person's consents, where there are any, cover it."""
        return isinstance(consents, Consents) and consents.covers(
            self.client_id,
            self.scope,
            resource=self.resource,
            redirect_target=self.redirect_target,
            since=self.since,
        )


def targets_for_person(
    client: Client, resource: tuple[str, ...], policy: DeploymentPolicy
) -> tuple[str, ...]:
    """Return where the tokens are good that are asked for: consent is to that, named or not.

    Raises InvalidTarget.
    """
    try:
        return client.audience_for_person(resource, policy)
    except DomainError as error:
        raise from_domain(error) from error


async def require_consent(agreed: Agreed, service: EndingService) -> None:
    """Raise UnusableGrant where the consent does not stand (any more), LedgerUnavailable."""
    consents = await service.log.load(Consents.stream(agreed.subject))
    if not agreed.covered_by(consents):
        raise UnusableGrant(reason="consent withdrawn")


async def require_consent_since(
    agreed: Agreed,
    token: AccessToken,
    family: RefreshTokenFamily | None,
    *,
    service: EndingService,
    provenance: Provenance,
) -> None:
    """End what was issued and recorded, and raise UnusableGrant, where the consent was withdrawn
    meanwhile. Not to be handed out before. Raises TemporarilyUnavailable and LedgerUnavailable as
    well.
    """
    try:
        await require_consent(agreed, service)
    except UnusableGrant as refusal:
        act = {"by": agreed.subject, "reason": refusal.reason}
        await _end(token, family, service, **act, provenance=provenance)
        raise


async def _end(
    token: AccessToken,
    family: RefreshTokenFamily | None,
    service: EndingService,
    *,
    by: str,
    reason: str,
    provenance: Provenance,
) -> None:
    if family is not None:
        await end_family(family.id, service, by=by, reason=reason, provenance=provenance)
    else:
        await end_tokens([str(token.id)], service, by=by, reason=reason, provenance=provenance)
