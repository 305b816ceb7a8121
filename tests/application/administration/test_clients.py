"""Administration of clients: register, give new secrets, change: whole or not at all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from application.administration.clients import (
    DEFAULT_OVERLAP,
    MAX_KEY_BYTES,
    SECRET_PREFIX,
    Changes,
    NewSecret,
    change,
    register,
    rotate_secret,
)
from application.client_authentication import PresentedCredentials, authenticate
from application.errors import (
    ConflictingState,
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    NotFound,
    OAuthError,
)
from application.ledger.errors import LedgerUnavailable
from application.secret_keys import PresentedSecret
from domain.client import MAX_SECRETS, Client
from domain.client_configuration import (
    Audiences,
    Authentication,
    ClientConfiguration,
    ClientType,
    TokenPolicy,
)
from tests.application.fakes import Fault
from tests.application.people.upstream_provider import SigningKey
from tests.application.service import PEPPER, FakeService
from tests.builders import AT_NOON, NOON, a_client, a_principal, later

HOUR = timedelta(hours=1)


def configuration(**facts: Any) -> ClientConfiguration:
    """Return what an administrator says about the client "agent"."""
    return ClientConfiguration(**{"client_id": "agent", "scopes": ("mcp", "service"), **facts})


def works(service: FakeService, secret: NewSecret, *, minutes: float = 0) -> bool:
    """Tell whether "agent" authenticates with `secret`, `minutes` after noon."""
    presented = PresentedCredentials("agent", PresentedSecret(secret.value), "client_secret_basic")
    try:
        found = authenticate(
            presented,
            directory=service.directory,
            peppers=service.peppers,
            now=NOON + timedelta(minutes=minutes),
        )
    except InvalidClient:
        return False
    return found.credential_id == secret.secret_id


async def registered(service: FakeService, **facts: Any) -> NewSecret:
    """Register the client "agent" and return its first secret."""
    _, secret = await register(configuration(**facts), service=service, provenance=AT_NOON)
    assert secret is not None
    return secret


async def test_registers_a_client_with_its_first_secret(service: FakeService) -> None:
    """Configuration and secret are recorded as one unit by whom and why, and the secret, shown
    this once, works.
    """
    service.log.record(a_principal())

    client, secret = await register(
        configuration(owner="owner-1", name="Agent"), service=service, provenance=AT_NOON
    )
    created, added = service.log.units[-1]

    assert client == service.directory.client("agent")
    assert (created.scopes, created.owner, created.name) == (("service", "mcp"), "owner-1", "Agent")
    assert {(event.by, event.why) for event in (created, added)} == {("operator-1", "set up")}
    assert added.pepper_id == PEPPER.key_id
    assert secret is not None
    assert works(service, secret)


async def test_keeps_the_secret_nowhere(service: FakeService) -> None:
    """What is recorded and what a log line would show hold nothing of the secret, which has 256
    bits behind a prefix that scanners know.
    """
    secret = await registered(service)
    unprefixed = secret.value.removeprefix(SECRET_PREFIX)

    assert secret.value != unprefixed
    assert len(unprefixed) == 43
    assert unprefixed not in repr(service.log.events) + repr(secret)
    assert repr(secret) == f"NewSecret(secret_id='{secret.secret_id}')"


async def test_a_public_client_gets_no_secret(service: FakeService) -> None:
    """A client that could not keep a secret is registered without one."""
    client, secret = await register(
        configuration(client_type=ClientType.PUBLIC, grant_types=()),
        service=service,
        provenance=AT_NOON,
    )

    assert secret is None
    assert client.secrets == ()


@dataclass(frozen=True)
class Refusal:
    """An administrative act that is refused; "agent", "public" and "owner-1" exist."""

    description: str
    act: Callable[[FakeService], Awaitable[object]]
    error: type[OAuthError]
    text: str


def registering(**facts: Any) -> Callable[[FakeService], Awaitable[object]]:
    """Return the act that registers a client like this."""
    return lambda service: register(configuration(**facts), service=service, provenance=AT_NOON)


def rotating(
    client_id: str, overlap: timedelta = HOUR
) -> Callable[[FakeService], Awaitable[object]]:
    """Return the act that gives a client a new secret."""
    return lambda service: rotate_secret(
        client_id, overlap=overlap, service=service, provenance=AT_NOON
    )


def changing(client_id: str, **changes: Any) -> Callable[[FakeService], Awaitable[object]]:
    """Return the act that changes a client."""
    return lambda service: change(
        client_id, Changes(**changes), service=service, provenance=later(1)
    )


FRESH = {"client_id": "fresh"}
NOT_OFFERED = TokenPolicy(signing_algorithm="EdDSA")
NOTED = Authentication(
    method="private_key_jwt",
    jwks=({**SigningKey.make("ES256").published, "note": "x" * MAX_KEY_BYTES},),
)
REFUSALS = (
    Refusal(
        "taken name", registering(), ConflictingState, "the client agent is registered already"
    ),
    Refusal(
        "unknown owner",
        registering(**FRESH, owner="nobody"),
        InvalidRequest,
        "no such principal: nobody",
    ),
    Refusal(
        "unknown scope", registering(**FRESH, scopes=("root",)), InvalidScope, "unknown scope: root"
    ),
    Refusal(
        "algorithm that the deployment has no keys of",
        registering(**FRESH, tokens=NOT_OFFERED),
        InvalidRequest,
        "signing_algorithm: this deployment has ES256",
    ),
    Refusal("new secret for nobody", rotating("nobody"), NotFound, "no such client: nobody"),
    Refusal(
        "new secret for a public client",
        rotating("public"),
        InvalidRequest,
        "a public client has no secret",
    ),
    Refusal(
        "negative overlap",
        rotating("agent", timedelta(seconds=-1)),
        InvalidRequest,
        "the overlap must not be negative",
    ),
    Refusal(
        "change of nobody", changing("nobody", enabled=False), NotFound, "no such client: nobody"
    ),
    Refusal(
        "change to an unknown owner",
        changing("agent", owner="nobody", enabled=False),
        InvalidRequest,
        "no such principal: nobody",
    ),
    Refusal(
        "change to an unknown scope",
        changing("agent", scopes=("root",), enabled=False),
        InvalidScope,
        "unknown scope: root",
    ),
    Refusal(
        "change to an unknown grant type",
        changing("agent", grant_types=("password",), enabled=False),
        InvalidRequest,
        "unknown grant type: password",
    ),
    Refusal(
        "change to an algorithm that the deployment has no keys of",
        changing("agent", tokens=NOT_OFFERED, enabled=False),
        InvalidRequest,
        "signing_algorithm: this deployment has ES256",
    ),
    Refusal(
        "a key with more than a key",
        changing("agent", authentication=NOTED),
        InvalidRequest,
        "jwks: a key is at most 4096 bytes long",
    ),
    Refusal(
        "a good change before a bad one",
        changing("public", scopes=("mcp",), grant_types=("client_credentials",)),
        InvalidRequest,
        "a public client cannot use client_credentials",
    ),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.description)
async def test_refuses(service: FakeService, refusal: Refusal) -> None:
    """An act that breaks a rule gives its error and records nothing, not even its good part."""
    service.log.record(a_principal(), a_client(client_id="agent"))
    service.log.record(a_client(client_id="public", client_type=ClientType.PUBLIC, grant_types=()))
    recorded = len(service.log.units)
    with pytest.raises(OAuthError) as raised:
        await refusal.act(service)

    assert type(raised.value) is refusal.error
    assert raised.value.description == refusal.text
    assert len(service.log.units) == recorded


async def test_both_secrets_work_in_the_overlap(service: FakeService) -> None:
    """After a rotation old and new work until the overlap ends, then only the new."""
    old = await registered(service)

    _, new = await rotate_secret("agent", overlap=HOUR, service=service, provenance=later(1))

    assert [works(service, secret, minutes=60.999) for secret in (old, new)] == [True, True]
    assert [works(service, secret, minutes=61) for secret in (old, new)] == [False, True]
    assert len(service.log.units[-1]) == 2


async def test_the_overlap_is_a_day_unless_given(service: FakeService) -> None:
    """Who says nothing gets a day to distribute the new secret."""
    old = await registered(service)

    await rotate_secret("agent", service=service, provenance=AT_NOON)
    minutes = DEFAULT_OVERLAP / timedelta(minutes=1)

    assert minutes == 24 * 60
    assert works(service, old, minutes=minutes - 0.001)
    assert not works(service, old, minutes=minutes)


async def test_without_overlap_the_old_secret_ends_at_once(service: FakeService) -> None:
    """For a secret that leaked: however many are in overlap, an overlap of zero ends them all."""
    secrets = [await registered(service)]
    for minute in range(1, MAX_SECRETS):
        _, more = await rotate_secret("agent", service=service, provenance=later(minute))
        secrets.append(more)
    with pytest.raises(InvalidRequest, match=r"already has 5 usable secrets$"):
        await rotate_secret("agent", service=service, provenance=later(9))

    _, new = await rotate_secret(
        "agent", overlap=timedelta(0), service=service, provenance=later(10)
    )

    assert [works(service, secret, minutes=10) for secret in secrets] == [False] * MAX_SECRETS
    assert works(service, new, minutes=10)


async def test_several_changes_are_one_unit(service: FakeService) -> None:
    """What is asked for together is recorded together, and the client is returned as it is then."""
    service.log.record(a_principal(), a_client(client_id="agent"))
    audiences = Audiences(allowed=("https://a.example",), serves=("https://a.example",))
    tokens = TokenPolicy(lifetime=60, signing_algorithm="ES256")

    changed = await change(
        "agent",
        Changes(
            scopes=("mcp",),
            grant_types=(),
            audiences=audiences,
            owner="owner-1",
            tokens=tokens,
            enabled=False,
        ),
        service=service,
        provenance=later(1),
    )

    assert changed == service.directory.client("agent")
    assert (changed.scopes, changed.grant_types, changed.owner) == (("mcp",), (), "owner-1")
    assert (changed.audiences, changed.tokens, changed.enabled) == (audiences, tokens, False)
    assert [type(event) for event in service.log.units[-1]] == [
        Client.ScopesChanged,
        Client.GrantTypesChanged,
        Client.OwnerChanged,
        Client.AudiencesChanged,
        Client.TokenPolicyChanged,
        Client.Disabled,
    ]


@pytest.mark.parametrize(
    ("changes", "recorded"),
    [
        pytest.param(Changes(), [], id="nothing"),
        pytest.param(Changes(scopes=("mcp", "user", "service")), [], id="what is so already"),
        pytest.param(Changes(enabled=True), [], id="enabled already"),
        pytest.param(Changes(owner="owner-1"), [], id="same owner"),
        pytest.param(Changes(owner=""), [Client.OwnerChanged], id="no owner any more"),
    ],
)
async def test_leaves_alone_what_does_not_change(
    service: FakeService, changes: Changes, recorded: list[type]
) -> None:
    """What is not named stays, what is so already is not recorded again, and an empty owner takes
    the owner away.
    """
    service.log.record(a_principal(), a_client(client_id="agent", owner="owner-1"))
    before = len(service.log.events)

    await change("agent", changes, service=service, provenance=later(1))

    assert [type(event) for event in service.log.events[before:]] == recorded


async def test_disables_and_enables(service: FakeService) -> None:
    """A disabled client does not authenticate, an enabled one does again with the same secret."""
    secret = await registered(service)
    states = []
    for enabled in (False, True):
        await change("agent", Changes(enabled=enabled), service=service, provenance=later(1))
        states.append(works(service, secret, minutes=1))

    assert states == [False, True]


@pytest.mark.parametrize(
    "act", [registering(**FRESH), rotating("agent"), changing("agent", owner="")]
)
async def test_shows_no_secret_that_may_not_be_recorded(
    service: FakeService, act: Callable[[FakeService], Awaitable[object]]
) -> None:
    """Where the log does not answer, an act fails and returns nothing."""
    service.log.record(a_principal(), a_client(client_id="agent", owner="owner-1"))
    service.log.save_faults.append(Fault.IN_DOUBT)
    with pytest.raises(LedgerUnavailable):
        await act(service)
