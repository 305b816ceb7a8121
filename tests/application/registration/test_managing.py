"""A client manages its own registration, nobody else's, and gives itself nothing."""

from dataclasses import replace
from typing import Any

import pytest

from application.administration import clients as administration
from application.administration.clients import Changes
from application.errors import InvalidToken, OAuthError
from application.registration import managing
from application.registration.registering import Registered
from domain.client import Client
from domain.client_configuration import Delegation, Redirects, TokenPolicy
from tests.application.registration.scene import CALLBACK, KEY, RegisteringService
from tests.application.service import context
from tests.builders import a_client, later


@pytest.fixture
async def client(service: RegisteringService) -> Registered:
    """A web client that registered itself."""
    return await service.register(
        grant_types=["authorization_code", "refresh_token"], scope="openid mcp"
    )


async def test_update_replaces(service: RegisteringService, client: Registered) -> None:
    """Members are replaced as one unit; those that administrators set stay as they are."""
    await administration.change(
        client.client.client_id,
        Changes(
            tokens=TokenPolicy(lifetime=60, plugin_id="p"),
            delegation=Delegation(impersonation=True),
        ),
        service=service,
        provenance=later(1),
    )
    units = len(service.log.units)
    changed = await service.update(
        client,
        client_name="New",
        redirect_uris=[CALLBACK, "http://localhost/cb"],
        scope="openid",
        software_version="2",
        client_secret=client.secret.value if client.secret else None,
    )
    now = service.now(client)

    assert len(service.log.units) == units + 1
    assert (now.name, now.scopes) == ("New", ("openid",))
    assert now.redirects.redirect_uris == (CALLBACK, "http://localhost/cb")
    assert now.registration.software_version == "2"
    assert (now.tokens.lifetime, now.tokens.plugin_id) == (60, "p")
    assert now.delegation.impersonation
    assert changed.secret is None
    assert service.log.events[-1].by == "the client itself"


async def test_what_is_left_out_stays_what_it_was(
    service: RegisteringService, client: Registered
) -> None:
    """Scopes and grant types stay as they are where an update names none; twice changes nothing."""
    await service.update(client)
    before = len(service.log.events)
    await service.update(client)

    assert service.now(client).scopes == ("mcp", "openid")
    assert service.now(client).grant_types == ("authorization_code", "refresh_token")
    assert len(service.log.events) == before


async def test_a_key_in_place_of_a_secret_and_back(
    service: RegisteringService, client: Registered
) -> None:
    """The method may change; who needs a secret and has none gets one."""
    by_key = await service.register(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY.published]}
    )
    to_secret = await service.update(by_key)
    to_key = await service.update(
        client, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY.published]}
    )

    assert to_secret.secret is not None
    assert service.now(by_key).authentication.jwks == ()
    assert to_key.secret is None
    assert service.now(client).authentication.method == "private_key_jwt"


DPOP, CERTIFICATE, PUSHED = (
    "dpop_bound_access_tokens",
    "tls_client_certificate_bound_access_tokens",
    "require_pushed_authorization_requests",
)


@pytest.mark.parametrize("binding", [DPOP, CERTIFICATE])
async def test_bindings_stay_on(
    service: RegisteringService, client: Registered, binding: str
) -> None:
    """What binds tokens and requests is turned on by an update, never off, nor replaced."""
    on: dict[str, Any] = {binding: True, PUSHED: True}
    off: dict[str, Any] = dict.fromkeys(on, False)
    other: dict[str, Any] = {DPOP: binding != DPOP, CERTIFICATE: binding != CERTIFICATE}
    await service.update(client, **on)
    await service.update(client, **off)
    with pytest.raises(OAuthError) as refusal:
        await service.update(client, **other)
    now = service.now(client)

    assert refusal.value.code == "invalid_client_metadata"
    assert (now.tokens.dpop_bound, now.tokens.certificate_bound) == (
        binding == DPOP,
        binding == CERTIFICATE,
    )
    assert now.redirects.require_pushed_authorization_requests


async def test_redirects_that_an_administrator_gave_stay(
    service: RegisteringService, client: Registered
) -> None:
    """A redirect URI that the client has may be of a kind that strangers do not get."""
    own = "com.example.app:/cb"
    await administration.change(
        client.client.client_id,
        Changes(redirects=Redirects(redirect_uris=(own,))),
        service=service,
        provenance=later(1),
    )
    await service.update(client, redirect_uris=[own, CALLBACK])

    assert service.now(client).redirects.redirect_uris == (own, CALLBACK)


REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("another client", {"client_id": "administration"}, "invalid_request"),
    ("no client", {"client_id": None}, "invalid_request"),
    ("another secret", {"client_secret": "gls_guess"}, "invalid_request"),
    ("secret no text", {"client_secret": 7}, "invalid_request"),
    ("secret half a character", {"client_secret": "\ud800"}, "invalid_request"),
    ("its own token", {"registration_access_token": "x"}, "invalid_request"),
    ("its own address", {"registration_client_uri": "x"}, "invalid_request"),
    ("its own beginning", {"client_id_issued_at": 1}, "invalid_request"),
    ("its own end", {"client_secret_expires_at": 1}, "invalid_request"),
    ("more scope", {"scope": "openid mcp profile"}, "invalid_client_metadata"),
    ("scope of administrators", {"scope": "openid admin"}, "invalid_client_metadata"),
    ("more grant types", {"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    ("public", {"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
    ("script", {"redirect_uris": ["javascript:1"]}, "invalid_redirect_uri"),
    ("none", {"redirect_uris": []}, "invalid_redirect_uri"),
    (
        "private key",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{**KEY.published, "d": "A"}]},
        },
        "invalid_client_metadata",
    ),
)


@pytest.mark.parametrize(
    ("description", "members", "code"), REFUSED, ids=[row[0] for row in REFUSED]
)
async def test_updates_that_are_refused(
    service: RegisteringService,
    client: Registered,
    description: str,
    members: dict[str, Any],
    code: str,
) -> None:
    """Each broken rule has its error, and nothing is recorded."""
    before = len(service.log.events)
    with pytest.raises(OAuthError) as refusal:
        await service.update(client, **members)

    assert refusal.value.code == code
    assert len(service.log.events) == before


async def test_what_an_administrator_took_away_stays_away(
    service: RegisteringService, client: Registered
) -> None:
    """Also where it is taken between our judgement and our save."""
    client_id = client.client.client_id

    def taken() -> None:
        current = service.now(client)
        current.set_scopes(("openid",), catalogue=service.catalogue, provenance=later(1))
        service.log.record(current)

    service.log.meanwhile = taken
    await service.update(client, scope="openid mcp", client_name="New")
    with pytest.raises(OAuthError) as refusal:
        await service.update(client, scope="openid mcp")

    assert service.now(client).scopes == ("openid",)
    assert refusal.value.code == "invalid_client_metadata"
    assert service.log.of(Client.Renamed)[0].client_id == client_id


@pytest.mark.parametrize(
    "description",
    ["none", "malformed", "another client's", "of no client", "administrator's", "disabled"],
)
async def test_whose_token_it_is_not(
    service: RegisteringService, client: Registered, description: str
) -> None:
    """RFC 7592, Section 5: 401 for an unknown client and a wrong token alike, in one text."""
    client_id, token = client.client.client_id, client.token
    presented: str | None = token
    match description:
        case "none":
            presented = None
        case "malformed":
            presented = "x" * 5000
        case "another client's":
            presented = (await service.register()).token
        case "of no client":
            client_id = "dyn-unknown\u00e9"
        case "administrator's":
            service.log.record(a_client())
            client_id = "reporter"
        case "disabled":
            gone = service.now(client)
            gone.disable(later(1))
            service.log.record(gone)
    before = len(service.log.events)
    texts = set()
    for act in (
        managing.managed(client_id, presented, service),
        managing.update(client_id, presented, {"client_id": client_id}, context(), service),
        managing.delete(client_id, presented, context(), service),
    ):
        with pytest.raises(InvalidToken) as refusal:
            await act
        texts.add(refusal.value.description)

    assert len(texts) == 1
    assert len(service.log.events) == before


async def test_an_update_does_not_survive_its_end(
    service: RegisteringService, client: Registered
) -> None:
    """Disabled between judgement and save, the client is not changed any more."""

    def gone() -> None:
        current = service.now(client)
        current.disable(later(1))
        service.log.record(current)

    service.log.meanwhile = gone
    with pytest.raises(InvalidToken):
        await service.update(client, client_name="New")

    assert service.now(client).name == "Web app"


async def test_delete_disables(service: RegisteringService, client: Registered) -> None:
    """The record stays; the token manages nothing any more."""
    await managing.delete(client.client.client_id, client.token, context(), service)
    (event,) = service.log.of(Client.Disabled)

    assert not service.now(client).enabled
    assert (event.by, event.why) == ("the client itself", "deleted by the client")
    with pytest.raises(InvalidToken):
        await managing.managed(client.client.client_id, client.token, service)


async def test_a_retired_pepper_voids_the_token(
    service: RegisteringService, client: Registered
) -> None:
    """Without the pepper of its verifier a token proves nothing."""
    other = replace(service, peppers=type(service.peppers)([service.peppers.current]))
    found = await managing.managed(client.client.client_id, client.token, other)
    assert found.client_id == client.client.client_id
    current = service.now(client)
    assert current.registration_token is not None
    kept = replace(current.registration_token, pepper_id="gone")
    current.set_registration_token(kept, provenance=later(1))
    service.log.record(current)

    with pytest.raises(InvalidToken):
        await managing.managed(client.client.client_id, client.token, service)
