"""A client's configuration: what registration accepts, and how it changes afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from domain.client import Client
from domain.client_configuration import (
    Audiences,
    Authentication,
    ClientConfiguration,
    ClientType,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from domain.errors import InvalidConfiguration, ScopeUnknown
from tests.builders import AT_NOON, CATALOGUE, a_client, later
from tests.domain.given import events_of, fact, given

LATER = later(1)
REGISTERED = events_of(a_client())
PUBLIC = events_of(a_client(client_type=ClientType.PUBLIC, grant_types=()))
AUDIENCES = Audiences(allowed=("https://api.example", "hook"))
ID = {"client_id": "reporter"}


def test_registration_keeps_the_whole_configuration() -> None:
    """Registration records every setting; scopes without repetition by descending level."""
    configuration = ClientConfiguration(
        client_id="reporter",
        name="Reporter",
        scopes=("mcp", "admin", "mcp", "service"),
        audiences=AUDIENCES,
        owner="owner-1",
        tokens=TokenPolicy(lifetime=60, signing_algorithm="EdDSA", plugin_id="plugin-1"),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        refresh=RefreshPolicy(grace=0),
        delegation=Delegation(may_act=("agent-1",)),
        authentication=Authentication(method="client_secret_post"),
    )

    client = (
        given()
        .when(lambda _: Client.register(configuration, catalogue=CATALOGUE, provenance=AT_NOON))
        .then(
            fact(
                Client.Registered,
                client_id="reporter",
                name="Reporter",
                client_type=ClientType.CONFIDENTIAL,
                grant_types=("client_credentials",),
                scopes=("admin", "service", "mcp"),
                audiences=AUDIENCES,
                owner="owner-1",
                tokens=TokenPolicy(lifetime=60, signing_algorithm="EdDSA", plugin_id="plugin-1"),
                redirects=Redirects(redirect_uris=("https://client.example/callback",)),
                refresh=RefreshPolicy(grace=0),
                delegation=Delegation(may_act=("agent-1",)),
                authentication=Authentication(method="client_secret_post"),
                registration=Registration(),
                authorization_details_types=(),
            ),
            at=AT_NOON,
        )
    )

    assert client.id == Client.stream("reporter")
    assert client.enabled
    assert client.secrets == ()


def test_registration_with_an_unknown_scope() -> None:
    """A scope outside the catalogue is refused by name."""
    given().refuses(
        lambda _: a_client(scopes=("service", "root", "sudo")),
        ScopeUnknown,
        "unknown scope: root sudo",
    )


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"client_id": ""}, "should match pattern"),
        ({"client_id": "white space"}, "should match pattern"),
        ({"client_id": "-leading"}, "should match pattern"),
        ({"client_id": "a" * 129}, "should match pattern"),
        ({"client_id": "trailing\n"}, "should match pattern"),
        ({"name": "n" * 201}, "at most 200 characters"),
        ({"owner": ""}, "should match pattern"),
        ({"owner": "two words"}, "should match pattern"),
        ({"grant_types": ("password",)}, "unknown grant type: password"),
        ({"client_type": "public"}, "a public client cannot use client_credentials"),
        ({"audiences": {"default": ["b"], "allowed": ["a"]}}, "must be allowed: b"),
        ({"audiences": {"allowed": [""]}}, "should match pattern"),
        ({"tokens": {"lifetime": 0}}, "greater than or equal to 1"),
        ({"tokens": {"lifetime": 86_401}}, "less than or equal to 86400"),
        ({"tokens": {"signing_algorithm": "none"}}, "must be one of ES256"),
        ({"tokens": {"signing_algorithm": "HS256"}}, "must be one of ES256"),
        ({"tokens": {"plugin_id": ""}}, "should match pattern"),
        ({"secret": "hunter2"}, "Extra inputs are not permitted"),
    ],
)
def test_configurations_that_are_refused(configuration: dict[str, Any], message: str) -> None:
    """A configuration that is wrong in itself never becomes a fact."""
    with pytest.raises(ValidationError, match=message):
        ClientConfiguration(**{"client_id": "reporter", **configuration})


CHANGES: list[Any] = [
    pytest.param(
        lambda c: c.set_scopes(("mcp", "admin"), catalogue=CATALOGUE, provenance=LATER),
        fact(Client.ScopesChanged, **ID, scopes=("admin", "mcp")),
        lambda c: c.set_scopes(
            ("mcp", "user", "service", "mcp"), catalogue=CATALOGUE, provenance=LATER
        ),
        id="scopes",
    ),
    pytest.param(
        lambda c: c.set_grant_types((), provenance=LATER),
        fact(Client.GrantTypesChanged, **ID, grant_types=()),
        lambda c: c.set_grant_types(["client_credentials"], provenance=LATER),
        id="grant types",
    ),
    pytest.param(
        lambda c: c.set_audiences(Audiences(allowed=("b",)), provenance=LATER),
        fact(Client.AudiencesChanged, **ID, audiences=Audiences(allowed=("b",))),
        lambda c: c.set_audiences(AUDIENCES, provenance=LATER),
        id="audiences",
    ),
    pytest.param(
        lambda c: c.set_owner("owner-2", provenance=LATER),
        fact(Client.OwnerChanged, **ID, owner="owner-2"),
        lambda c: c.set_owner(None, provenance=LATER),
        id="owner",
    ),
    pytest.param(
        lambda c: c.set_token_policy(TokenPolicy(lifetime=60), provenance=LATER),
        fact(Client.TokenPolicyChanged, **ID, tokens=TokenPolicy(lifetime=60)),
        lambda c: c.set_token_policy(TokenPolicy(), provenance=LATER),
        id="token policy",
    ),
    pytest.param(
        lambda c: c.disable(LATER),
        fact(Client.Disabled, **ID),
        lambda c: c.enable(LATER),
        id="disable",
    ),
]


@pytest.mark.parametrize(("command", "expected", "_same"), CHANGES)
def test_a_change_is_one_fact(
    command: Callable[[Client], object], expected: Any, _same: object
) -> None:
    """Each change of the configuration records the one fact that says it."""
    given(*REGISTERED).when(command).then(expected, at=LATER)


@pytest.mark.parametrize(("_command", "_expected", "same"), CHANGES)
def test_what_is_so_already_is_no_fact(
    _command: object, _expected: object, same: Callable[[Client], object]
) -> None:
    """Setting what is set already records nothing."""
    given(*REGISTERED).when(same).then_nothing()


@pytest.mark.parametrize(("command", "expected", "_same"), CHANGES)
def test_a_change_twice_is_one_fact(
    command: Callable[[Client], object], expected: Any, _same: object
) -> None:
    """The same change once more records nothing further."""
    given(*events_of(a_client(), command)).when(command).then_nothing()


def test_a_disabled_client_is_enabled_again() -> None:
    """Enabling records its fact where the client was disabled."""
    disabled = events_of(a_client(), lambda c: c.disable(AT_NOON))

    client = (
        given(*disabled).when(lambda c: c.enable(LATER)).then(fact(Client.Enabled, **ID), at=LATER)
    )

    assert client.enabled


@pytest.mark.parametrize(
    ("events", "command", "error", "message"),
    [
        pytest.param(
            REGISTERED,
            lambda c: c.set_scopes(("mcp", "root"), catalogue=CATALOGUE, provenance=LATER),
            ScopeUnknown,
            "unknown scope: root",
            id="scope outside the catalogue",
        ),
        pytest.param(
            PUBLIC,
            lambda c: c.set_grant_types(("client_credentials",), provenance=LATER),
            InvalidConfiguration,
            "a public client cannot use client_credentials",
            id="client_credentials for a public client",
        ),
    ],
)
def test_refused_changes(
    events: list[Any], command: Callable[[Client], object], error: type[Exception], message: str
) -> None:
    """A change that breaks a rule is refused and records nothing."""
    given(*events).refuses(command, error, message)
