"""What clients may register of themselves, and every way to be refused."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from application.administration import clients
from application.administration.clients import MAX_KEY_BYTES
from application.errors import InvalidClientMetadata, InvalidToken, NotFound, OAuthError
from application.registration import registering
from application.registration.metadata import described
from application.registration.policy import RegistrationRefused
from application.secret_keys import PresentedSecret
from domain.client import Client
from domain.client_configuration import Audiences, ClientConfiguration, ClientType, Registration
from domain.initial_access import InitialAccess
from tests.application.client_certificates import self_signed
from tests.application.fakes import InterleavingLog
from tests.application.registration.scene import (
    CALLBACK,
    KEY,
    RegisteringService,
    a_document,
    days_later,
)
from tests.application.service import context
from tests.builders import NOON

KEYS = {"keys": [KEY.published]}
CERTIFIED = {"keys": [self_signed(now=NOON).jwk()]}


async def test_a_web_client(service: RegisteringService) -> None:
    """Defaults are those of RFC 7591, the secret works, and verifiers alone are recorded."""
    registered = await service.register(unheard_of={"a": 1}, contacts=["ann@client.example"])
    told = described(registered.client)
    client = service.now(registered)
    assert registered.secret is not None
    (kept,) = client.secrets
    facts = json.dumps([str(vars(event)) for event in service.log.events])

    assert told["token_endpoint_auth_method"] == "client_secret_basic"
    assert (told["grant_types"], told["response_types"]) == (("authorization_code",), ["code"])
    assert told["scope"] == "mcp openid profile offline_access"
    assert not {"unheard_of", "contacts", "owner", "client_secret"} & told.keys()
    assert service.peppers.matches(
        PresentedSecret(registered.secret.value), pepper_id=kept.pepper_id, verifier=kept.verifier
    )
    assert registered.token not in facts
    assert registered.secret.value not in facts
    assert "ann@" not in facts
    assert registered.token not in repr(registered)
    assert registered.secret.value not in repr(registered)
    assert (client.owner, client.registration) == (None, Registration(source="dynamic"))


async def test_everything_a_client_can_say(service: RegisteringService) -> None:
    """All metadata that is understood is registered, recorded and told back."""
    said: dict[str, Any] = {
        "client_name": "Bäckerei",
        "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"],
        "post_logout_redirect_uris": ["https://client.example/bye"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": KEYS,
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
        "scope": "mcp openid",
        "id_token_signed_response_alg": "ES256",
        "dpop_bound_access_tokens": True,
        "tls_client_certificate_bound_access_tokens": False,
        "require_pushed_authorization_requests": True,
        "software_id": "4NRB1",
        "software_version": "2.1",
        "client_uri": "https://client.example/",
        "logo_uri": "https://client.example/logo.png",
        "tos_uri": "https://client.example/terms?lang=en",
        "policy_uri": "https://client.example/privacy#data",
    }
    registered = await service.register(**said)
    told = json.loads(json.dumps(described(service.now(registered))))

    assert {name: told[name] for name in said} == said
    assert registered.secret is None
    assert registered.client.tokens.dpop_bound


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"token_endpoint_auth_method": "none"}, (ClientType.PUBLIC, None, False)),
        (
            {"token_endpoint_auth_method": "client_secret_post"},
            (ClientType.CONFIDENTIAL, "client_secret_post", True),
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://c.example/k"},
            (ClientType.CONFIDENTIAL, "private_key_jwt", False),
        ),
        (
            {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": CERTIFIED},
            (ClientType.CONFIDENTIAL, "self_signed_tls_client_auth", False),
        ),
        (
            {
                "token_endpoint_auth_method": "tls_client_auth",
                "tls_client_auth_san_dns": "c.example",
            },
            (ClientType.CONFIDENTIAL, "tls_client_auth", False),
        ),
        (
            {"token_endpoint_auth_method": "none", "jwks": KEYS, "client_uri": "", "scope": None},
            (ClientType.PUBLIC, None, False),
        ),
    ],
)
async def test_methods(
    service: RegisteringService, members: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """Each method of RFCs 7591 and 8705 makes the client it is for; a secret only where needed."""
    registered = await service.register(**members)
    client = service.now(registered)

    found = (client.client_type, client.authentication.method, registered.secret is not None)
    assert found == expected
    assert described(client)["token_endpoint_auth_method"] == members["token_endpoint_auth_method"]


async def test_a_machine(service: RegisteringService) -> None:
    """Without codes there are neither redirect URIs nor response types."""
    registered = await service.register(
        grant_types=["client_credentials"], redirect_uris=None, scope="mcp"
    )

    assert described(registered.client)["response_types"] == []
    assert registered.client.grant_types == ("client_credentials",)


def deep(levels: int) -> Any:
    """Return a list in a list in a list."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


REDIRECT, METADATA = "invalid_redirect_uri", "invalid_client_metadata"
PRIVATE = {**KEY.published, "d": "AAAA"}
REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("no redirect URI", {"redirect_uris": None}, REDIRECT),
    ("none in the list", {"redirect_uris": []}, REDIRECT),
    ("script", {"redirect_uris": ["javascript:alert(1)"]}, REDIRECT),
    ("data", {"redirect_uris": ["data:text/html,x"]}, REDIRECT),
    ("http elsewhere", {"redirect_uris": ["http://client.example/"]}, REDIRECT),
    ("fragment", {"redirect_uris": ["https://client.example/#a"]}, REDIRECT),
    ("user", {"redirect_uris": ["https://a@client.example/"]}, REDIRECT),
    ("relative", {"redirect_uris": ["/callback"]}, REDIRECT),
    ("not a text", {"redirect_uris": [7]}, REDIRECT),
    ("not a list", {"redirect_uris": CALLBACK}, REDIRECT),
    ("too many", {"redirect_uris": [f"{CALLBACK}{n}" for n in range(21)]}, REDIRECT),
    ("scheme of its own", {"redirect_uris": ["com.example.app:/cb"]}, REDIRECT),
    ("one bad among good", {"redirect_uris": [CALLBACK, "javascript:1"]}, REDIRECT),
    ("logout to script", {"post_logout_redirect_uris": ["javascript:1"]}, REDIRECT),
    ("unknown method", {"token_endpoint_auth_method": "client_secret_jwt"}, METADATA),
    ("method no text", {"token_endpoint_auth_method": ["none"]}, METADATA),
    ("unknown grant type", {"grant_types": ["password"]}, METADATA),
    ("implicit", {"grant_types": ["implicit"], "response_types": ["token"]}, METADATA),
    ("grant type not for strangers", {"grant_types": ["refresh_token", "urn:x"]}, METADATA),
    (
        "exchange not for strangers",
        {"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"]},
        METADATA,
    ),
    ("grant types no list", {"grant_types": "authorization_code"}, METADATA),
    ("response type", {"response_types": ["code id_token"]}, METADATA),
    ("response type twice", {"response_types": ["code", "code"]}, METADATA),
    ("no response type for codes", {"response_types": []}, METADATA),
    (
        "response type without codes",
        {"grant_types": ["client_credentials"], "response_types": ["code"]},
        METADATA,
    ),
    (
        "public machine",
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"},
        METADATA,
    ),
    ("scope of users", {"scope": "openid user"}, METADATA),
    ("scope of administrators", {"scope": "admin"}, METADATA),
    ("scope to manage clients", {"scope": "clients:manage"}, METADATA),
    ("unknown scope", {"scope": "nonsense"}, METADATA),
    ("scope malformed", {"scope": "openid  mcp"}, METADATA),
    ("scope no text", {"scope": {"a": 1}}, METADATA),
    ("name too long", {"client_name": "x" * 201}, METADATA),
    ("name with control characters", {"client_name": "a\x1b[0m"}, METADATA),
    ("name no text", {"client_name": 7}, METADATA),
    ("half a character", {"client_name": "\ud800"}, METADATA),
    ("no character", {"jwks": {"keys": [{**KEY.published, "x": "\x00"}]}}, METADATA),
    (
        "bound twice",
        {"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": True},
        METADATA,
    ),
    ("switch no switch", {"dpop_bound_access_tokens": "yes"}, METADATA),
    ("algorithm we have not", {"id_token_signed_response_alg": "RS256"}, METADATA),
    ("no algorithm", {"id_token_signed_response_alg": "none"}, METADATA),
    ("pairwise subjects", {"subject_type": "pairwise"}, METADATA),
    ("page that is script", {"client_uri": "javascript:alert(1)"}, METADATA),
    ("picture that is data", {"logo_uri": "data:image/png;base64,AAAA"}, METADATA),
    ("key without keys", {"token_endpoint_auth_method": "private_key_jwt"}, METADATA),
    (
        "keys twice",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": KEYS,
            "jwks_uri": "https://client.example/jwks",
        },
        METADATA,
    ),
    (
        "keys by http",
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://client.example/k"},
        METADATA,
    ),
    (
        "keys in a file",
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "file:///etc/passwd"},
        METADATA,
    ),
    (
        "private key",
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [PRIVATE]}},
        METADATA,
    ),
    ("private key that nobody needs", {"jwks": {"keys": [PRIVATE]}}, METADATA),
    (
        "shared key",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{"kty": "oct", "kid": "1", "k": "AAAA"}]},
        },
        METADATA,
    ),
    (
        "key that is none",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "kid": "1"}]},
        },
        METADATA,
    ),
    (
        "key without a name",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{**KEY.published, "kid": ""}]},
        },
        METADATA,
    ),
    ("key that nests", {"jwks": {"keys": [{**KEY.published, "x": deep(600)}]}}, METADATA),
    ("key that is a number", {"jwks": {"keys": [{**KEY.published, "x": 7}]}}, METADATA),
    ("keys no key set", {"jwks": [KEY.published]}, METADATA),
    (
        "too many keys",
        {"jwks": {"keys": [{**KEY.published, "kid": str(n)} for n in range(11)]}},
        METADATA,
    ),
    (
        "key with more than a key",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{**KEY.published, "x-note": "x" * MAX_KEY_BYTES}]},
        },
        METADATA,
    ),
    ("certificate without a name", {"token_endpoint_auth_method": "tls_client_auth"}, METADATA),
    (
        "certificate with two names",
        {
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "a.example",
            "tls_client_auth_subject_dn": "CN=a",
        },
        METADATA,
    ),
    ("statement of nobody", {"software_statement": "x"}, "invalid_software_statement"),
)


@pytest.mark.parametrize(
    ("description", "members", "code"), REFUSED, ids=[row[0] for row in REFUSED]
)
async def test_refusals(
    service: RegisteringService, description: str, members: dict[str, Any], code: str
) -> None:
    """Each broken rule has its error, and nothing is recorded."""
    with pytest.raises(OAuthError) as refusal:
        await service.register(**members)

    assert (refusal.value.code, refusal.value.status) == (code, 400)
    assert service.log.events == []
    assert "AAAA" not in refusal.value.description
    assert "AAAA" not in refusal.value.reason


@pytest.mark.parametrize(
    ("rules", "uri", "allowed"),
    [
        (("private",), "com.example.app:/cb", True),
        (("private",), CALLBACK, False),
        (("com.example.app:",), "com.example.app:/cb", True),
        (("com.example.app:",), "com.example.other:/cb", False),
        (("https://client.example",), CALLBACK, True),
        (("https://client.example",), "https://client.example.evil.example/", False),
        (("https://client.example",), "https://client.example:8443/", False),
        (("https://*.client.example",), "https://a.client.example/", True),
        (("https://*.client.example",), "https://evilclient.example/", False),
        (("https://*.client.example",), "https://client.example/", False),
        (("https",), "http://127.0.0.1/", False),
        (("loopback",), "http://localhost:3000/", True),
        ((), CALLBACK, False),
    ],
)
async def test_redirect_rules(
    service: RegisteringService, rules: tuple[str, ...], uri: str, allowed: bool
) -> None:
    """The settings say which redirect URIs strangers may have."""
    service.limit(redirects=rules)
    if allowed:
        assert (await service.register(redirect_uris=[uri])).client.redirects.redirect_uris == (
            uri,
        )
        return
    with pytest.raises(OAuthError) as refusal:
        await service.register(redirect_uris=[uri])

    assert refusal.value.code == REDIRECT


async def test_closed(service: RegisteringService) -> None:
    """Where registration is closed there is nothing, with a token or without."""
    _, token = await service.token()
    service.mode = "closed"
    for presented in (None, token):
        with pytest.raises(NotFound):
            await service.register(presented)


async def test_by_invitation(service: RegisteringService) -> None:
    """The use is recorded in one unit with the client, which names who let it in."""
    service.mode = "initial_access_token"
    access_id, token = await service.token(max_uses=2)
    first = await service.register(token)
    second = await service.register(token)
    used = service.log.of(InitialAccess.Used)
    (unit,) = (unit for unit in service.log.units if used[0] in unit)

    assert [event.client_id for event in used] == [
        first.client.client_id,
        second.client.client_id,
    ]
    assert {type(event).__qualname__ for event in unit} >= {
        "InitialAccess.Used",
        "Client.Registered",
    }
    assert service.now(first).registration.initial_access_id == access_id
    assert used[0].by == f"initial access {access_id}"
    assert token not in str([vars(event) for event in service.log.events])


@pytest.mark.parametrize("mode", ["initial_access_token", "open"])
@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("none", "no token"),
        ("malformed", "unknown initial access token"),
        ("unknown", "unknown initial access token"),
        ("secret of another", "unknown initial access token"),
        ("expired", "initial access token expired"),
        ("revoked", "initial access token revoked"),
        ("used up", "initial access token used up"),
    ],
)
async def test_tokens_that_let_nobody_in(
    service: RegisteringService, mode: Any, description: str, reason: str
) -> None:
    """Each is a 401 with one text; where registration is open a bad token is refused as well."""
    access_id, token = await service.token()
    _, other = await service.token()
    now = context()
    presented: str | None = token
    match description:
        case "none":
            presented = None
        case "malformed":
            presented = "gli_" + "x" * 400
        case "unknown":
            presented = f"gli_{'0' * 16}.{token.partition('.')[2]}"
        case "secret of another":
            presented = f"{token.partition('.')[0]}.{other.partition('.')[2]}"
        case "expired":
            now = context(days_later(1))
        case "revoked":
            access = service.log.folded(InitialAccess.stream(access_id))
            access.revoke(now.provenance)
            service.log.record(access)
        case "used up":
            await service.register(token)
    service.mode = mode
    if description == "none" and mode == "open":
        return
    before = len(service.log.events)
    with pytest.raises(InvalidToken) as refusal:
        await registering.register(a_document(), presented, now, service)

    assert refusal.value.reason == reason
    assert description == "none" or reason not in refusal.value.description
    assert len(service.log.events) == before


async def test_the_last_use_is_one(service: RegisteringService) -> None:
    """Of two at once the second meets a conflict, is judged anew, and refused."""
    _, token = await service.token()
    other = RegisteringService(log=service.log, keys=service.keys, peppers=service.peppers)

    def faster() -> None:
        # The other registers between our judgement and our save.
        leave = service.log.all_of(InitialAccess)[0]
        leave.use("dyn-other", context().provenance)
        other.log.record(leave)

    service.log.meanwhile = faster
    with pytest.raises(InvalidToken) as refusal:
        await service.register(token)

    assert refusal.value.reason == "initial access token used up"
    assert service.log.of(Client.Registered) == []


async def test_those_who_register_at_once_take_turns(service: RegisteringService) -> None:
    """With one initial access token: each is vetted once, and loses no race to the others."""
    vetted = []

    async def hook(wanted: ClientConfiguration, _: Mapping[str, Any]) -> ClientConfiguration:
        vetted.append(wanted.client_id)
        await asyncio.sleep(0)
        return wanted

    log = InterleavingLog()
    busy = RegisteringService(log=log, keys=service.keys, hook=hook)
    _, token = await busy.token(max_uses=20)
    await asyncio.gather(*(busy.register(token) for _ in range(20)))

    assert [event.client_id for event in log.of(Client.Registered)] == vetted
    assert log.saves == 1 + len(vetted) == 21


async def test_a_hook_may_change(service: RegisteringService) -> None:
    """The operator's code gives what strangers could not ask for, but neither name nor origin."""

    async def hook(wanted: ClientConfiguration, said: Mapping[str, Any]) -> ClientConfiguration:
        await asyncio.sleep(0)
        assert said["client_name"] == "Web app"
        return replace_in(
            wanted,
            scopes=("service",),
            audiences=Audiences(allowed=("https://mcp.example",)),
            client_id="administration",
            registration=Registration(),
        )

    service.hook = hook
    client = (await service.register()).client

    assert client.scopes == ("service",)
    assert client.audiences.allowed == ("https://mcp.example",)
    assert client.client_id.startswith("dyn-")
    assert client.registration.source == "dynamic"


def replace_in(wanted: ClientConfiguration, **changes: Any) -> ClientConfiguration:
    """Return a configuration with changes, as hooks do."""
    return wanted.model_copy(update=changes)


async def test_a_hook_may_refuse(service: RegisteringService) -> None:
    """Its text is told, and nothing is recorded; what it gives back is checked."""

    def hook(wanted: ClientConfiguration, _: Mapping[str, Any]) -> ClientConfiguration:
        raise RegistrationRefused("ask us first")

    service.hook = hook
    with pytest.raises(InvalidClientMetadata, match="ask us first"):
        await service.register()
    service.hook = lambda wanted, _: replace_in(wanted, scopes=("nonsense",))
    with pytest.raises(InvalidClientMetadata, match="unknown scope"):
        await service.register()
    service.hook = lambda *_: None
    with pytest.raises(TypeError):
        await service.register()

    assert service.log.events == []


async def test_only_by_what_the_deployment_takes(service: RegisteringService) -> None:
    """A profile without secrets and public clients registers none, not by default either."""
    service.auth_methods = frozenset({"private_key_jwt"})
    for members in ({}, {"token_endpoint_auth_method": "none"}):
        with pytest.raises(InvalidClientMetadata, match="takes private_key_jwt"):
            await service.register(None, **members)
    registered = await service.register(token_endpoint_auth_method="private_key_jwt", jwks=KEYS)

    assert registered.client.authentication.method == "private_key_jwt"


async def test_administrators_do_not_pretend(service: RegisteringService) -> None:
    """How a client came to be registered is not for an administrator to say."""
    facts: dict[str, Any] = {"client_id": "a", "registration": Registration(source="dynamic")}
    with pytest.raises(OAuthError) as refusal:
        await clients.register(
            ClientConfiguration(**facts), service=service, provenance=context().provenance
        )

    assert refusal.value.code == "invalid_request"
