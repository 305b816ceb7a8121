"""Whether a person still lets a client have what it redeems: asked before a redemption is decided,
and once more when it is recorded.

Redemption and withdrawal share no stream, so that neither makes the other conflict; an event of
each redemption in the person's consents would, and let that stream grow without end. But the log is
one order (application.ledger.schema), and what was committed before a load is seen by it:

- a withdrawal that comes before the redemption is seen by the second look, and what was issued is
  ended before anybody holds it;
- one that comes after finds the family by the position of its own event (api.account_pages).

Consent that was withdrawn and given again in between is consent, and is withdrawn as such.
"""

from dataclasses import dataclass

from application.ending import EndingService, end_family, end_tokens
from application.errors import UnusableGrant
from domain.access_token import AccessToken
from domain.consents import Consents
from domain.provenance import Provenance
from domain.refresh_token_family import RefreshTokenFamily


@dataclass(frozen=True, slots=True)
class Agreed:
    """What has to be consented to: `scope`, for the client, by the person `subject`."""

    client_id: str
    subject: str
    scope: tuple[str, ...]


async def require_consent(agreed: Agreed, service: EndingService) -> None:
    """Raise UnusableGrant where the consent does not stand (any more), LedgerUnavailable."""
    consents = await service.log.load(Consents.stream(agreed.subject))
    if not isinstance(consents, Consents) or not consents.covers(agreed.client_id, agreed.scope):
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
