"""A consent that is withdrawn while it is redeemed: nothing of it is handed out or stays alive."""

import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from application.derived_tokens import TokenKind
from application.errors import UnusableGrant
from application.grants import authorization_code, device_code
from application.token_response import TokenResponse
from domain.access_token import AccessToken
from domain.authorization_code import AuthorizationCode, CodeTerms
from domain.client import Client
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    REFRESH_TOKEN,
    Redirects,
)
from domain.consents import Consents
from domain.device_authorization import Approval, DeviceAuthorization
from domain.issuance import Narrowing
from domain.refresh_token_family import RefreshTokenFamily
from domain.session import Session
from tests.application.service import (
    OLD_PEPPER,
    ORIGIN,
    PEPPER,
    FakeService,
    authenticated,
    context,
)
from tests.builders import AT_NOON, NOON, a_client, a_principal, a_session, later, stream_id

CALLBACK = "https://shop.example/callback"
VERIFIER = "v" * 43
SCOPE = Narrowing(("user",), (), ())
Redeem = Callable[[FakeService, Client], Awaitable[TokenResponse]]


def a_shop(service: FakeService, *grant_types: str) -> Client:
    """Record the client, the person that it acts for, and the consent of that."""
    shop = a_client(
        grant_types=(AUTHORIZATION_CODE, DEVICE_CODE, *grant_types),
        redirects=Redirects(redirect_uris=(CALLBACK,)),
    )
    consents = Consents.open("alice", provenance=AT_NOON)
    for target in (CALLBACK, None):  # of the code, and of the device
        consents.give(
            shop.client_id,
            ("user",),
            session_id="sess_1",
            provenance=AT_NOON,
            resource=("https://api.example",),
            redirect_target=target,
        )
    service.log.record(shop, a_principal("alice"), consents)
    return shop


async def redeem_code(service: FakeService, shop: Client, *, pepper_id: str = "") -> TokenResponse:
    """Issue a code of noon, and redeem what is derived for it under a pepper, ours unless named."""
    session = a_session()
    digest = sha256(VERIFIER.encode()).digest()
    terms = CodeTerms(
        client_id=shop.client_id,
        subject="alice",
        session_id=session.session_id,
        redirect_uri=CALLBACK,
        challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        requested_scope=("user",),
        scope=SCOPE,
        resource=(),
        nonce=None,
        authenticated_at=NOON,
        methods=("pwd",),
    )
    code = AuthorizationCode.issue(
        stream_id(NOON), terms, provenance=AT_NOON, pepper_id=PEPPER.key_id
    )
    service.log.record(session, code)
    presented = service.derived.derive(TokenKind.CODE, code.id, pepper_id=pepper_id)
    return await authorization_code.handle(
        authorization_code.Parameters(presented, VERIFIER, CALLBACK, ()),
        authenticated(shop),
        context(),
        service,
    )


async def redeem_device(
    service: FakeService, shop: Client, *, pepper_id: str = ""
) -> TokenResponse:
    """Let a device be approved at noon, and poll by what is derived for it under a pepper."""
    device = DeviceAuthorization.request(
        stream_id(NOON),
        client_id=shop.client_id,
        scope=("user",),
        resource=(),
        lifetime=timedelta(minutes=10),
        origin=ORIGIN,
        provenance=AT_NOON,
        pepper_id=PEPPER.key_id,
    )
    browser = a_session()
    device.approve(Approval("alice", browser.session_id, SCOPE, NOON, ("pwd",)), AT_NOON)
    service.log.record(browser, device)
    presented = service.derived.derive(TokenKind.DEVICE, device.id, pepper_id=pepper_id)
    return await device_code.handle(
        device_code.Parameters(presented), authenticated(shop), context(), service
    )


def withdraw(service: FakeService, shop: Client) -> None:
    """Record that the person takes the consent back."""
    consents = service.log.folded(Consents.stream("alice"))
    consents.withdraw(shop.client_id, provenance=later(0))
    service.log.record(consents)


@pytest.mark.parametrize("grant_types", [(REFRESH_TOKEN,), ()], ids=["family", "token alone"])
@pytest.mark.parametrize("redeem", [redeem_code, redeem_device])
async def test_a_withdrawal_between_decision_and_commit(
    service: FakeService, redeem: Redeem, grant_types: tuple[str, ...]
) -> None:
    """The redemption read the consent before and is recorded after: what it issued is ended, and
    the refusal reads like any other.
    """
    shop = a_shop(service, *grant_types)
    service.log.meanwhile = lambda: withdraw(service, shop)

    with pytest.raises(UnusableGrant) as refused:
        await redeem(service, shop)

    assert refused.value.reason == "consent withdrawn"
    assert [token.revoked for token in service.log.all_of(AccessToken)] == [True]
    families = service.log.all_of(RefreshTokenFamily)
    assert [family.revoked for family in families] == [True] * len(grant_types)


@pytest.mark.parametrize("redeem", [redeem_code, redeem_device])
async def test_a_withdrawal_before(service: FakeService, redeem: Redeem) -> None:
    """Nothing is issued."""
    shop = a_shop(service, REFRESH_TOKEN)
    withdraw(service, shop)

    with pytest.raises(UnusableGrant):
        await redeem(service, shop)

    assert service.log.all_of(AccessToken) == []


@pytest.mark.parametrize("redeem", [redeem_code, redeem_device])
async def test_a_consent_that_stands(service: FakeService, redeem: Redeem) -> None:
    """What was issued is handed out, and lives."""
    shop = a_shop(service, REFRESH_TOKEN)
    answered = await redeem(service, shop)

    assert answered.refresh_token
    assert not any(family.revoked for family in service.log.all_of(RefreshTokenFamily))


async def test_the_session_that_approved_ends_between_decision_and_commit(
    service: FakeService,
) -> None:
    """The device's redemption found the session live and is recorded after its end: what it issued
    is ended with the device's own session, and handed to nobody.
    """
    shop = a_shop(service, REFRESH_TOKEN)

    def end() -> None:
        (browser,) = service.log.all_of(Session)
        browser.end(by="alice", reason="logged out", provenance=later(0))
        service.log.record(browser)

    service.log.meanwhile = end
    with pytest.raises(UnusableGrant) as refused:
        await redeem_device(service, shop)

    assert refused.value.reason == "session that approved was ended"
    assert [one.ended for one in service.log.all_of(Session)] == [True, True]
    assert [one.revoked for one in service.log.all_of(AccessToken)] == [True]
    assert [one.revoked for one in service.log.all_of(RefreshTokenFamily)] == [True]


@pytest.mark.parametrize("redeem", [redeem_code, redeem_device])
async def test_a_demoted_pepper_makes_no_code(service: FakeService, redeem: Any) -> None:
    """What a thief of the demoted pepper derives for a code, or device, of after it is refused, and
    is no use of it: neither a redemption nor a replay.
    """
    shop = a_shop(service, REFRESH_TOKEN)
    with pytest.raises(UnusableGrant) as refused:
        await redeem(service, shop, pepper_id=OLD_PEPPER.key_id)

    assert refused.value.reason.endswith("code derived under another pepper")
    assert service.log.all_of(AccessToken) == []
    assert [one.state for one in service.log.all_of(AuthorizationCode)] in ([], ["issued"])
