"""device_code (RFC 8628, Section 3.4): a device polls until a person has decided.

1 the device code carries our MAC, 2 it exists and is this client's, 3 it has not expired, 4 not
decided yet: authorization_pending, or slow_down for a device that polls too often, 5 denied:
access_denied, 6 used: refused, 7 the session that approved was not ended, the consent stands, the
client may use the grant and the person is active; then redemption, a session of the device's own,
access token and family are recorded as one unit, and 8 neither consent nor that session was taken
back meanwhile.

The session is the device's own, so that logging out of the browser that approved does not switch
off the television, and each can be ended by itself. Until the device has redeemed its code there is
nothing of its own: who ends the browser's session, because somebody else sits there perhaps, ends
what that one approved.
"""

import asyncio
from datetime import timedelta
from typing import Protocol

import msgspec

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import Derived, TokenKind
from application.ending import end_session
from application.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    SlowDown,
    UnusableGrant,
    from_domain,
)
from application.logins import ended_for, version_of
from application.person_tokens import Behind, PersonService, answer, authorized, first_tokens
from application.presented_grant import Presented, use_presented
from application.request_context import RequestContext
from application.standing_consent import (
    Agreed,
    require_consent,
    require_consent_since,
    targets_for_person,
)
from application.token_response import TokenResponse
from domain.client_configuration import DEVICE_CODE
from domain.device_authorization import DeviceAuthorization, DeviceState
from domain.errors import DomainError
from domain.issuing_client import Authority
from domain.provenance import Provenance
from domain.recorded import Recorded
from domain.session import Session

GRANT_TYPE = DEVICE_CODE

__all__ = ["GRANT_TYPE", "Parameters", "handle"]


class Parameters(msgspec.Struct, frozen=True):
    """What the device was given."""

    device_code: str

    def __repr__(self) -> str:
        return "Parameters(...)"


class Pace(Protocol):
    """How often each device polls."""

    async def polls_too_often(self, device: Derived, context: RequestContext) -> bool:
        """Count one poll. Raises LedgerUnavailable."""


class _Service(PersonService, Protocol):
    @property
    def pace(self) -> Pace: ...

    @property
    def session_lifetime(self) -> timedelta: ...


async def handle(
    parameters: Parameters,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> TokenResponse:
    """Issue tokens to a device once a person approved it.

    Raises the OAuth error of the rule that was broken or of the state, or LedgerUnavailable.
    """

    async def use(device: DeviceAuthorization, presented: Derived) -> TokenResponse:
        await _require_approved(device, presented, context, service)  # 3 to 6
        return await _redeem(device, requester, context, service)  # 7, 8

    return await use_presented(
        Presented(parameters.device_code, TokenKind.DEVICE, "device code"),  # 1
        requester,
        context,
        service,
        of=DeviceAuthorization,
        client_of=lambda device: device.requested.client_id,  # 2
        issued_under=lambda device, derived: device.requested.pepper_id in ("", derived.pepper_id),
        use=use,
    )


async def _require_approved(
    device: DeviceAuthorization, presented: Derived, context: RequestContext, service: _Service
) -> None:
    if device.state is DeviceState.REDEEMED:  # 6
        raise UnusableGrant(reason="device code used")
    if device.expired(context.provenance.occurred_at):  # 3
        raise ExpiredToken("the device code has ended; ask for a new one")
    if device.state is DeviceState.DENIED:  # 5
        raise AccessDenied("the person said no")
    if device.state is DeviceState.REQUESTED:  # 4
        if await service.pace.polls_too_often(presented, context):
            raise SlowDown("the device polls too often; add 5 seconds to its interval")
        raise AuthorizationPending("the person has not decided yet")


async def _redeem(
    device: DeviceAuthorization,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: _Service,
) -> TokenResponse:
    approved, provenance = device.approved, context.provenance
    assert approved is not None
    targets = targets_for_person(requester.client, device.requested.resource, service.policy)
    agreed = Agreed(
        device.requested.client_id,
        approved.subject,
        approved.scope,
        targets,
        since=approved.timestamp,
    )
    standing = _require_standing(approved, service), require_consent(agreed, service)
    await asyncio.gather(*standing)
    session = Session.start(
        service.ids.stream_id(provenance.occurred_at),
        subject=approved.subject,
        methods=approved.methods,
        lifetime=service.session_lifetime,
        origin=context.origin,
        provenance=provenance,
        subject_version=version_of(approved.subject, service),
        pepper_id=service.derived.pepper_id,
    )
    authority = Authority(
        requested=device.requested.requested_scope,
        scope=approved.scope,
        resource=device.requested.resource,
        authenticated_at=approved.authenticated_at,
        authorization_details=device.requested.authorization_details,
    )
    behind = Behind(approved.subject, session.session_id)
    try:
        token, family = first_tokens(
            requester, authority, behind, context, grant_type=GRANT_TYPE, service=service
        )
        given = authorized(token, family)
        device.redeem(
            session_id=session.session_id,
            jti=given.jti,
            family_id=given.family_id,
            provenance=provenance,
        )
        session.authorize(given, provenance)
    except DomainError as error:
        raise from_domain(error) from error
    response = answer(token, family, service, about={"amr": approved.methods})
    unit: list[Recorded] = [device, session, token]
    await service.log.save(*unit, *([family] if family else []))
    await require_consent_since(agreed, token, family, service=service, provenance=provenance)
    await _require_standing_since(approved, session, service, provenance)
    return response


async def _require_standing(approved: DeviceAuthorization.Approved, service: PersonService) -> None:
    """Raise UnusableGrant where the session that approved was ended. One that ran out approved in
    time.
    """
    session = await service.log.load(Session.stream(approved.session_id))
    if not isinstance(session, Session) or ended_for(session, service):
        raise UnusableGrant(reason="session that approved was ended")


async def _require_standing_since(
    approved: DeviceAuthorization.Approved,
    given: Session,
    service: PersonService,
    provenance: Provenance,
) -> None:
    """End the device's session, and raise UnusableGrant, where the one that approved was ended
    before the redemption was recorded: as with consent (application.standing_consent), the two
    share no stream.
    """
    try:
        await _require_standing(approved, service)
    except UnusableGrant as refusal:
        by, reason = approved.subject, refusal.reason
        await end_session(given.session_id, service, by=by, reason=reason, provenance=provenance)
        raise
