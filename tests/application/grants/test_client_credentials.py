"""client_credentials: each step of the grant, what it lets through and what it refuses."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from application.errors import (
    InvalidClient,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    UnauthorizedClient,
)
from application.grants.client_credentials import Parameters, handle
from application.ledger.errors import LedgerUnavailable
from application.token_keys import TokenKeys
from application.token_response import TokenResponse
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import Audiences, ClientType, TokenPolicy
from tests.application.fakes import Fault
from tests.application.service import ISSUER, FakeService, authenticated, context
from tests.builders import AT_NOON, a_client, a_principal, later

API, HOOK, OTHER = "https://api.example", "hook", "https://other.example"
OWNED = {"owner": "owner-1"}
HOOKED = {"scopes": ("mcp", "hook:track")}
FAILED = "client authentication failed"


def ask(*scope: str, audience: tuple[str, ...] = ()) -> Parameters:
    """Return what a request asks for: no scope means that it names none."""
    return Parameters(scope or None, audience)


async def issue(
    service: FakeService, client: Client, parameters: Parameters | None = None
) -> TokenResponse:
    """Handle a request of `client`, at noon."""
    return await handle(parameters or ask(), authenticated(client), context(), service)


def with_owner(service: FakeService, state: str) -> None:
    """Record the principal owner-1: with the role that `state` names, or deactivated."""
    if state == "unknown":
        return
    owner = a_principal(roles=("user",) if state == "deactivated" else (state,))
    if state == "deactivated":
        owner.deactivate(AT_NOON)
    service.log.record(owner)


@dataclass(frozen=True)
class Refusal:
    """A request that breaks a rule; `reason` is empty where the record gets the public text."""

    description: str
    error: type[OAuthError]
    text: str
    reason: str = ""
    client: dict[str, Any] = field(default_factory=dict)
    owner: str = "user"
    parameters: Parameters = field(default_factory=ask)


PUBLIC = {"client_type": ClientType.PUBLIC, "grant_types": ()}
NO_SUCH_SCOPE: dict[str, Any] = {"text": "unknown scope: root sudo", "reason": "unknown scope"}
NO_SUCH_TARGET: dict[str, Any] = {
    "text": f"not an allowed target: {OTHER}",
    "reason": "target not allowed",
}
REFUSALS = (
    Refusal(
        "1 public client",
        UnauthorizedClient,
        "a public client cannot use client_credentials",
        client=PUBLIC,
    ),
    Refusal(
        "2 grant type not registered",
        UnauthorizedClient,
        "client_credentials is not registered for this client",
        client={"grant_types": ()},
    ),
    Refusal(
        "3 client without scopes, none requested",
        InvalidScope,
        "no scope requested",
        client={"scopes": ()},
    ),
    Refusal(
        "4 unknown owner",
        InvalidClient,
        FAILED,
        "owner unknown: owner-1",
        client=OWNED,
        owner="unknown",
    ),
    Refusal(
        "4 deactivated owner",
        InvalidClient,
        FAILED,
        "owner deactivated: owner-1",
        client=OWNED,
        owner="deactivated",
    ),
    Refusal(
        "5 unknown scope",
        InvalidScope,
        **NO_SUCH_SCOPE,
        parameters=ask("service", "sudo", "root"),
    ),
    Refusal(
        "6 lacking on the client",
        InvalidScope,
        "not in the client's grant: admin a2a",
        parameters=ask("a2a", "admin"),
    ),
    Refusal(
        "6 lacking on the owner",
        InvalidScope,
        "not held by the owner: user",
        client=OWNED,
        owner="anonymous",
        parameters=ask("user"),
    ),
    Refusal(
        "6 user tier without an owner",
        InvalidScope,
        "not held by the owner: user",
        parameters=ask("user"),
    ),
    Refusal(
        "6 lacking on both sides",
        InvalidScope,
        "not in the client's grant: a2a; not held by the owner: user",
        parameters=ask("user", "a2a"),
    ),
    Refusal(
        "7 target not allowed", InvalidTarget, **NO_SUCH_TARGET, parameters=ask(audience=(OTHER,))
    ),
    Refusal(
        "7 one target of two not allowed",
        InvalidTarget,
        **NO_SUCH_TARGET,
        parameters=ask(audience=(API, OTHER)),
    ),
    Refusal(
        "7 issuer is no target where the client has its own list",
        InvalidTarget,
        f"not an allowed target: {ISSUER}",
        "target not allowed",
        parameters=ask(audience=(ISSUER,)),
    ),
    Refusal(
        "8 hook scope without its audience",
        InvalidScope,
        "hook:track requires the audience hook",
        client=HOOKED,
        parameters=ask("hook:track", audience=(API,)),
    ),
    Refusal(
        "8 hook scope among others",
        InvalidScope,
        "hook:track requires the audience hook",
        client=HOOKED,
    ),
)
# What is told where several rules are broken: an inactive owner's client must not learn which
# scopes it would have got, and no client which targets before it has a scope for them.
ORDER = (
    Refusal(
        "1 before 4",
        UnauthorizedClient,
        "a public client cannot use client_credentials",
        client={**PUBLIC, **OWNED},
        owner="deactivated",
    ),
    Refusal(
        "2 before 4",
        UnauthorizedClient,
        "client_credentials is not registered for this client",
        client={**OWNED, "grant_types": ()},
        owner="deactivated",
    ),
    Refusal(
        "4 before 5",
        InvalidClient,
        FAILED,
        "owner deactivated: owner-1",
        client=OWNED,
        owner="deactivated",
        parameters=ask("root"),
    ),
    Refusal(
        "6 before 7",
        InvalidScope,
        "not in the client's grant: a2a",
        parameters=ask("a2a", audience=(OTHER,)),
    ),
    Refusal(
        "7 before 8",
        InvalidTarget,
        **NO_SUCH_TARGET,
        client=HOOKED,
        parameters=ask("hook:track", audience=(OTHER,)),
    ),
)


@pytest.mark.parametrize("refusal", [*REFUSALS, *ORDER], ids=lambda refusal: refusal.description)
async def test_refuses(service: FakeService, refusal: Refusal) -> None:
    """A broken rule gives its error, its public text and its reason, and records nothing."""
    with_owner(service, refusal.owner)
    recorded = len(service.log.units)
    with pytest.raises(OAuthError) as raised:
        await issue(service, a_client(**refusal.client), refusal.parameters)

    error = raised.value
    assert type(error) is refusal.error
    assert (error.description, error.reason) == (refusal.text, refusal.reason or refusal.text)
    assert len(service.log.units) == recorded


@dataclass(frozen=True)
class Success:
    """A request that is granted, and what its TokenIssued says."""

    description: str
    expected: dict[str, Any]
    client: dict[str, Any] = field(default_factory=dict)
    owner: str = "user"
    parameters: Parameters = field(default_factory=ask)
    policy: dict[str, Any] = field(default_factory=dict)


ALLOWED = Audiences(allowed=(API, HOOK, OTHER), default=(OTHER, API))
SUCCESSES = (
    Success(
        "3 no scope means all of the client's",
        {"scope": ("user", "service", "mcp"), "requested_scope": None},
        client=OWNED,
    ),
    Success(
        "3 a requested scope narrows",
        {"scope": ("mcp",), "requested_scope": ("mcp",)},
        parameters=ask("mcp"),
    ),
    Success(
        "5 granted in catalogue order, each once",
        {"scope": ("service", "mcp"), "requested_scope": ("mcp", "service", "mcp")},
        parameters=ask("mcp", "service", "mcp"),
    ),
    Success(
        "5 service tier whatever the owner holds",
        {"scope": ("service",), "withheld_by_owner": (), "withheld_by_client": ()},
        client=OWNED,
        owner="anonymous",
        parameters=ask("service"),
    ),
    Success(
        "5 what is lacking is withheld and noted",
        {"scope": ("mcp",), "withheld_by_client": ("a2a",), "withheld_by_owner": ("user",)},
        client=OWNED,
        owner="anonymous",
        parameters=ask("user", "mcp", "a2a"),
    ),
    Success("7 the deployment's default audience", {"audience": (API,)}),
    Success("7 the client's default audiences", {"audience": (OTHER, API)}, {"audiences": ALLOWED}),
    Success(
        "7 requested targets, each once, in their order",
        {"audience": (HOOK, API)},
        parameters=ask(audience=(HOOK, API, HOOK)),
    ),
    Success(
        "7 without a list the deployment's default is the only target",
        {"audience": (API,)},
        {"audiences": Audiences()},
        parameters=ask(audience=(API,)),
    ),
    Success(
        "8 hook scope with its audience",
        {"scope": ("hook:track",), "audience": (HOOK,)},
        HOOKED,
        parameters=ask("hook:track", audience=(HOOK,)),
    ),
    Success("9 sub is the owner", {"subject": "owner-1", "owner_version": 1}, OWNED),
    Success("9 sub is the client without an owner", {"subject": "reporter", "owner_version": None}),
    Success(
        "9 sub is the client where the deployment says so",
        {"subject": "reporter", "owner_version": 1},
        OWNED,
        policy={"subject_is_owner": False},
    ),
    Success("the deployment's lifetime", {"expires_at": later(60).occurred_at}),
    Success(
        "the client's lifetime",
        {"expires_at": later(2).occurred_at},
        {"tokens": TokenPolicy(lifetime=120)},
    ),
    Success("plugin_id", {"plugin_id": "plug-7"}, {"tokens": TokenPolicy(plugin_id="plug-7")}),
    Success("no plugin_id", {"plugin_id": None}),
    Success(
        "how the client proved itself and where it called from",
        {
            "authentication_method": "client_secret_basic",
            "credential_id": "secret-1",
            "address": "address-hash",
            "user_agent": "agent-hash",
        },
    ),
)


@pytest.mark.parametrize("success", SUCCESSES, ids=lambda success: success.description)
async def test_grants(service: FakeService, success: Success) -> None:
    """A request that keeps the rules is recorded as one TokenIssued that says what was decided."""
    with_owner(service, success.owner)
    service.with_policy(**success.policy)

    response = await issue(service, a_client(**success.client), success.parameters)
    (issued,) = service.log.of(AccessToken.Issued)

    assert {name: getattr(issued, name) for name in success.expected} == success.expected
    assert service.log.units[-1] == [issued]
    assert response.scope == " ".join(issued.scope)
    assert response.token_type == "Bearer"
    assert response.expires_in == (issued.expires_at - issued.timestamp).total_seconds()


@pytest.mark.parametrize("fault", list(Fault))
async def test_hands_out_nothing_unrecorded(service: FakeService, fault: Fault) -> None:
    """Where the log does not answer, the caller gets LedgerUnavailable and no token, recorded or
    not.
    """
    service.log.save_faults.append(fault)
    with pytest.raises(LedgerUnavailable):
        await issue(service, a_client())

    assert len(service.log.units) == (fault is Fault.IN_DOUBT)


async def test_issues_nothing_without_a_key(service: FakeService) -> None:
    """Without an active key of the client's algorithm the answer is 503 and nothing is recorded."""
    service.keys = TokenKeys(issuer=ISSUER, algorithms=("ES256",))
    with pytest.raises(TemporarilyUnavailable) as raised:
        await issue(service, a_client())

    assert raised.value.reason == "no active ES256 key"
    assert service.log.units == []


async def test_the_answer_hides_the_token(service: FakeService) -> None:
    """What a log line would show of the response is its scope, not the token."""
    response = await issue(service, a_client())

    assert repr(response) == "TokenResponse(scope='service mcp')"
