"""Device authorization (RFC 8628): the two codes, the pace of polling, and what the person says.

The user code is eight letters out of twenty (RFC 8628, Section 6.1: no vowels, no look-alikes):
34 bits, good for ten minutes, and guessing is throttled by address. The store has its MAC only.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from application.authorization.consenting import consents_of
from application.authorization.pending import Shown
from application.client_authentication import AuthenticatedClient
from application.derived_tokens import Derived, TokenKind
from application.errors import (
    AccessDenied,
    ConflictingState,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    UnauthorizedClient,
    from_domain,
)
from application.issuing_service import IssuingService
from application.ledger.errors import Conflict
from application.one_time_values import OneTimeValues
from application.request_context import RequestContext
from application.secret_keys import Peppers
from application.standing_consent import targets_for_person
from domain.authorization_details import Details
from domain.client import Client
from domain.client_configuration import DEVICE_CODE
from domain.device_authorization import Approval, DeviceAuthorization, DeviceState
from domain.errors import DomainError, PersonNotActive
from domain.issuance import DeploymentPolicy, Narrowing
from domain.session import Session

LIFETIME = timedelta(minutes=10)
INTERVAL_SECONDS = 5
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_HALF = 4
_KIND, _POLL = "user_code", "device_poll"


class DeviceService(IssuingService, Protocol):
    """What it takes to ask, to be shown, and to be decided."""

    @property
    def peppers(self) -> Peppers:
        """What user codes are kept under."""

    @property
    def one_time(self) -> OneTimeValues:
        """Which user code belongs to which device."""


@dataclass(frozen=True, slots=True)
class DeviceCodes:
    """What a device is given; neither code is in the repr."""

    device_code: str
    user_code: str

    def __repr__(self) -> str:
        return "DeviceCodes(...)"


async def request_device(
    scope: tuple[str, ...] | None,
    resource: tuple[str, ...],
    requester: AuthenticatedClient,
    context: RequestContext,
    service: DeviceService,
    *,
    details: Details = (),
) -> DeviceCodes:
    """Begin a device authorization.

    Raises UnauthorizedClient, InvalidScope, InvalidTarget, LedgerUnavailable.
    """
    client, provenance = requester.client, context.provenance
    if DEVICE_CODE not in client.grant_types:
        raise UnauthorizedClient("the device grant is not registered for this client")
    asked, bound = _askable(scope, resource, client, service.policy)
    stream_id = service.ids.stream_id(provenance.occurred_at)
    device = DeviceAuthorization.request(
        stream_id,
        client_id=client.client_id,
        scope=asked,
        resource=bound,
        lifetime=LIFETIME,
        origin=context.origin,
        provenance=provenance,
        authorization_details=details,
        pepper_id=service.derived.pepper_id,
    )
    await context.once.use()
    user_code = await _free_user_code(stream_id, context, service)
    await service.log.save(device)
    return DeviceCodes(service.derived.derive(TokenKind.DEVICE, stream_id), user_code)


def _askable(
    scope: tuple[str, ...] | None,
    resource: tuple[str, ...],
    client: Client,
    policy: DeploymentPolicy,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the scopes in order, and the resource that is asked for."""
    if scope is None:
        raise InvalidScope("a scope is required")
    try:
        ordered = policy.catalogue.order(scope)
        return ordered, client.bound_resource(resource, ordered, policy)
    except DomainError as error:
        raise from_domain(error) from error


async def _free_user_code(stream_id: UUID, context: RequestContext, service: DeviceService) -> str:
    expires_at = context.provenance.occurred_at + LIFETIME
    while True:
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(2 * _HALF))
        key = _key(letters, service.peppers)
        if await service.one_time.put(_KIND, key, stream_id.bytes, expires_at=expires_at):
            return shown(letters)


def shown(letters: str) -> str:
    """Return a user code as people read it."""
    return f"{letters[:_HALF]}-{letters[_HALF:]}"


def typed(user_code: str) -> str | None:
    """Return the letters of a user code as it was typed, None where it cannot be one."""
    letters = "".join(c for c in user_code[:40].upper() if c not in " -.")
    fits = len(letters) == 2 * _HALF and set(letters) <= set(_ALPHABET)
    return letters if fits else None


async def device_of(
    user_code: str, context: RequestContext, service: DeviceService
) -> DeviceAuthorization | None:
    """Return the device that shows `user_code` and waits; None for any other code.

    Raises LedgerUnavailable.
    """
    letters, now = typed(user_code), context.provenance.occurred_at
    if letters is None:
        return None
    stream_id = await service.one_time.read(_KIND, _key(letters, service.peppers), now=now)
    device = await service.log.load(UUID(bytes=stream_id)) if stream_id else None
    if not isinstance(device, DeviceAuthorization) or device.expired(now):
        return None
    return device if device.state is DeviceState.REQUESTED else None


def grantable(
    device: DeviceAuthorization, session: Session, service: DeviceService
) -> tuple[Client, Narrowing]:
    """Return the client of a device and what this person would let it do.

    Raises AccessDenied or the OAuth error of the rule that says no.
    """
    client = service.directory.client(device.requested.client_id)
    if client is None or not client.enabled:
        raise AccessDenied("access was denied", reason="client gone or disabled")
    try:
        return client, client.authorize(
            device.requested.requested_scope,
            device.requested.resource,
            grant_type=DEVICE_CODE,
            person=service.directory.principal(session.subject),
            policy=service.policy,
        )
    except PersonNotActive as error:
        raise AccessDenied("access was denied", reason=str(error)) from error
    except DomainError as error:
        raise from_domain(error) from error


class ChangedSinceShown(Exception):
    """What would be granted is not what the page said: the person is asked again."""


def shown_to(
    session: Session, device: DeviceAuthorization, service: DeviceService
) -> tuple[Client, Narrowing, Shown]:
    """Return what the page says that asks a person about a device. Raises as `grantable` does."""
    client, narrowing = grantable(device, session, service)
    targets = targets_for_person(client, device.requested.resource, service.policy)
    return client, narrowing, Shown(session.subject, narrowing.granted, targets)


async def decide_device(
    device_id: UUID,
    session: Session,
    *,
    allowed: bool,
    shown: Shown | None,
    context: RequestContext,
    service: DeviceService,
) -> Client:
    """Record what the person says about a device; a yes is remembered as consent, as one unit.

    Raises ChangedSinceShown, AccessDenied, InvalidRequest for a device that was decided or has
    expired, LedgerUnavailable.
    """
    provenance = context.provenance
    device = await service.log.load(device_id)
    if not isinstance(device, DeviceAuthorization):
        raise InvalidRequest("there is no such device")
    client, narrowing, asked = shown_to(session, device, service)
    if allowed and shown != asked:
        raise ChangedSinceShown
    consents = await consents_of(session.subject, service.log, provenance)
    try:
        if allowed:
            device.approve(_approval(session, narrowing), provenance)
            consents.give(
                client.client_id,
                narrowing.granted,
                resource=asked.resource,
                redirect_target=None,
                session_id=session.session_id,
                provenance=provenance,
            )
        else:
            device.deny(
                subject=session.subject, session_id=session.session_id, provenance=provenance
            )
    except DomainError as error:
        raise _too_late(str(error)) from error
    try:
        await service.log.save(device, *([consents] if allowed else []))
    except Conflict:
        raise ConflictingState("somebody else is deciding about this; try again") from None
    return client


def _too_late(reason: str) -> OAuthError:
    return InvalidRequest("this code was used already, or it has expired", reason=reason)


def _approval(session: Session, narrowing: Narrowing) -> Approval:
    return Approval(
        subject=session.subject,
        session_id=session.session_id,
        scope=narrowing,
        authenticated_at=session.authenticated_at,
        methods=session.methods,
    )


class DevicePace:
    """How often each device polls, over all processes (RFC 8628, Section 3.5)."""

    def __init__(self, one_time: OneTimeValues) -> None:
        self._one_time = one_time

    async def polls_too_often(self, device: Derived, context: RequestContext) -> bool:
        """Count one poll: False once an interval since the last. Raises LedgerUnavailable.

        Whoever comes too early waits 5 seconds more, as it was told.
        """
        now, key = context.provenance.occurred_at, device.stream_id.bytes
        pause = timedelta(seconds=INTERVAL_SECONDS)
        if await self._one_time.put(_POLL, key, b"", expires_at=now + pause, now=now):
            return False
        await self._one_time.replace(_POLL, key, b"", expires_at=now + 2 * pause)
        return True


def _key(letters: str, peppers: Peppers) -> bytes:
    return peppers.mac(peppers.current.key_id, b"user code\0" + letters.encode())
