"""Client.issue_token for client_credentials: steps 2 to 9 of the grant, each with its refusals.

(1, authentication, is the edge's.)
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import Audiences, ClientType, TokenPolicy
from domain.errors import (
    AudienceMissing,
    AudienceNotAllowed,
    GrantTypeNotRegistered,
    OwnerNotActive,
    PublicClientRefused,
    ScopeNotGranted,
    ScopeUnknown,
)
from domain.issuance import DeploymentPolicy
from domain.principal import Principal
from tests.builders import (
    AT_NOON,
    CATALOGUE,
    NOON,
    POLICY,
    SIGNING,
    a_client,
    a_principal,
    a_request,
    later,
    stream_id,
)
from tests.domain.given import events_of, fact, given

API = "https://api.example"
OWNER = a_principal(roles=("user",))
ADMIN = a_principal(roles=("admin",))
TOKEN_ID = stream_id(NOON)
ISSUED_AT = NOON + timedelta(seconds=61.75)
ISSUING = replace(later(1), occurred_at=ISSUED_AT)


def deactivated() -> Principal:
    """Return an owner whose authority was withdrawn."""
    principal = a_principal(roles=("admin",))
    principal.deactivate(AT_NOON)
    return principal


def issue(
    client: Client,
    *,
    owner: Principal | None = None,
    policy: DeploymentPolicy = POLICY,
    **wishes: Any,
) -> AccessToken:
    """Ask `client` for a token."""
    return client.issue_token(
        a_request(token_id=TOKEN_ID, **wishes),
        grant_type="client_credentials",
        owner=owner,
        policy=policy,
        signing=SIGNING,
        provenance=ISSUING,
    )


def test_the_record_of_a_token_says_it_all() -> None:
    """TokenIssued is the first fact of its own stream and carries what the decision rested on: the
    request, who was asked, what was granted and withheld, and the policy in force.
    """
    tokens = TokenPolicy(plugin_id="plugin-1")
    events = events_of(
        a_client(scopes=("user", "service", "mcp", "admin"), owner="owner-1", tokens=tokens),
        lambda client: client.disable(AT_NOON),
        lambda client: client.enable(AT_NOON),
    )

    token = (
        given(*events)
        .when(lambda c: issue(c, owner=OWNER, scope=("a2a", "mcp", "admin", "user", "mcp")))
        .then(
            fact(
                AccessToken.Issued,
                client_id="reporter",
                client_version=3,
                subject="owner-1",
                owner_version=1,
                session_id="sess_00000000000000000000000000000001",
                grant_type="client_credentials",
                requested_scope=("a2a", "mcp", "admin", "user", "mcp"),
                scope=("user", "mcp"),
                withheld_by_client=("a2a",),
                withheld_by_owner=("admin",),
                audience=(API,),
                expires_at=ISSUED_AT + timedelta(hours=1),
                kid="key-1",
                algorithm="ES256",
                authentication_method="client_secret_basic",
                credential_id="secret-1",
                address="address-hash",
                user_agent="agent-hash",
                plugin_id="plugin-1",
                policy=CATALOGUE.digest,
            ),
            at=ISSUING,
        )
    )

    assert token.id == TOKEN_ID
    assert not token.revoked


@pytest.mark.parametrize(
    ("description", "configuration", "owner", "wishes", "granted"),
    [
        (
            "no scope named: all the client has, by descending level",
            {"scopes": ("mcp", "service", "a2a")},
            None,
            {},
            ("service", "a2a", "mcp"),
        ),
        (
            "service tier: the owner's permissions do not matter",
            {"scopes": ("service",), "owner": "owner-1"},
            a_principal(roles=()),
            {},
            ("service",),
        ),
        (
            "user tier: held by client and owner",
            {"scopes": ("admin", "user"), "owner": "owner-1"},
            ADMIN,
            {"scope": ("user", "admin")},
            ("admin", "user"),
        ),
        (
            "user tier: dropped where the owner lacks it",
            {"scopes": ("admin", "user", "mcp"), "owner": "owner-1"},
            OWNER,
            {},
            ("user", "mcp"),
        ),
        (
            "user tier: dropped where there is no owner",
            {"scopes": ("user", "mcp")},
            None,
            {},
            ("mcp",),
        ),
        (
            "ties in the order of the catalogue",
            {"scopes": ("reports:read", "audit:read", "clients:manage")},
            None,
            {"scope": ("reports:read", "clients:manage", "audit:read")},
            ("clients:manage", "audit:read", "reports:read"),
        ),
        (
            "hook permissions with audience hook",
            {"scopes": ("hook:track", "hook:govern")},
            None,
            {"audience": ("hook",)},
            ("hook:govern", "hook:track"),
        ),
        (
            "a hook permission that is not asked for needs no audience",
            {"scopes": ("hook:track", "mcp")},
            None,
            {"scope": ("mcp",)},
            ("mcp",),
        ),
    ],
)
def test_granted_scopes(
    description: str,
    configuration: dict[str, Any],
    owner: Principal | None,
    wishes: dict[str, Any],
    granted: tuple[str, ...],
) -> None:
    """Steps 3 and 5: each scope by its tier, and the answer in the order of the catalogue."""
    token = issue(a_client(**configuration), owner=owner, **wishes)

    assert token.issued.scope == granted


HERE, THERE = "https://a.example", "https://b.example"


@pytest.mark.parametrize(
    ("description", "audiences", "requested", "issued"),
    [
        ("nothing asked, no default of its own: the deployment's", Audiences(), (), (API,)),
        (
            "nothing asked: the client's default",
            Audiences(allowed=(HERE, THERE), default=(THERE,)),
            (),
            (THERE,),
        ),
        ("asked for one that is allowed", Audiences(allowed=(HERE, THERE)), (HERE,), (HERE,)),
        (
            "asked for several, one twice",
            Audiences(allowed=(HERE, THERE)),
            (THERE, HERE, THERE),
            (THERE, HERE),
        ),
        ("no list of its own: the deployment's is allowed", Audiences(), (API,), (API,)),
    ],
)
def test_issued_audience(
    description: str, audiences: Audiences, requested: tuple[str, ...], issued: tuple[str, ...]
) -> None:
    """Step 7: what was asked for where it is allowed, else the default."""
    token = issue(a_client(audiences=audiences), audience=requested)

    assert token.issued.audience == issued


@pytest.mark.parametrize(
    ("owner", "subject_is_owner", "subject"),
    [
        (None, True, "reporter"),
        ("owner-1", True, "owner-1"),
        ("owner-1", False, "reporter"),
        (None, False, "reporter"),
    ],
)
def test_subject(owner: str | None, subject_is_owner: bool, subject: str) -> None:
    """Step 9: `sub` is the owner unless there is none or the deployment always names the client."""
    policy = replace(POLICY, subject_is_owner=subject_is_owner)
    principal = OWNER if owner else None

    token = issue(a_client(owner=owner), owner=principal, policy=policy)

    assert token.issued.subject == subject
    assert token.issued.owner_version == (1 if owner else None)


@pytest.mark.parametrize(("own", "seconds"), [(None, 3600), (60, 60), (86_400, 86_400)])
def test_lifetime(own: int | None, seconds: int) -> None:
    """The client's own lifetime goes before the deployment's."""
    token = issue(a_client(tokens=TokenPolicy(lifetime=own)))

    assert token.issued.expires_at == ISSUED_AT + timedelta(seconds=seconds)


NO_OWNER: Principal | None = None
REFUSALS: list[tuple[str, dict[str, Any], Principal | None, dict[str, Any], Any, str]] = [
    # 1, 2
    (
        "public client",
        {"client_type": ClientType.PUBLIC, "grant_types": ()},
        NO_OWNER,
        {},
        PublicClientRefused,
        "a public client cannot use client_credentials",
    ),
    (
        "grant type not registered",
        {"grant_types": ()},
        NO_OWNER,
        {},
        GrantTypeNotRegistered,
        "client_credentials is not registered for this client",
    ),
    (
        "grant type not registered goes before the owner",
        {"grant_types": (), "owner": "owner-1"},
        NO_OWNER,
        {},
        GrantTypeNotRegistered,
        "client_credentials is not registered for this client",
    ),
    # 3, 6
    (
        "the client has no scope and names none",
        {"scopes": ()},
        NO_OWNER,
        {},
        ScopeNotGranted,
        "no scope requested",
    ),
    (
        "an empty scope is not all scopes",
        {},
        NO_OWNER,
        {"scope": ()},
        ScopeNotGranted,
        "no scope requested",
    ),
    # 4
    (
        "owner that does not exist",
        {"owner": "owner-1"},
        NO_OWNER,
        {},
        OwnerNotActive,
        "owner unknown: owner-1",
    ),
    (
        "owner deactivated, though only service tier is asked for",
        {"owner": "owner-1"},
        deactivated(),
        {"scope": ("mcp",)},
        OwnerNotActive,
        "owner deactivated: owner-1",
    ),
    (
        "the owner goes before the scope",
        {"owner": "owner-1"},
        deactivated(),
        {"scope": ("root",)},
        OwnerNotActive,
        "owner deactivated: owner-1",
    ),
    # 5, 6
    (
        "outside the catalogue, beside one that is granted",
        {},
        NO_OWNER,
        {"scope": ("mcp", "root", "MCP")},
        ScopeUnknown,
        "unknown scope: MCP root",
    ),
    (
        "not on the client",
        {},
        NO_OWNER,
        {"scope": ("a2a",)},
        ScopeNotGranted,
        "not in the client's grant: a2a",
    ),
    (
        "user does not imply service, whatever the levels",
        {"scopes": ("admin", "user"), "owner": "owner-1"},
        ADMIN,
        {"scope": ("service", "mcp")},
        ScopeNotGranted,
        "not in the client's grant: service mcp",
    ),
    (
        "user tier that the owner lacks",
        {"scopes": ("admin",), "owner": "owner-1"},
        OWNER,
        {},
        ScopeNotGranted,
        "not held by the owner: admin",
    ),
    (
        "user tier without an owner",
        {"scopes": ("user", "anonymous")},
        NO_OWNER,
        {},
        ScopeNotGranted,
        "not held by the owner: user anonymous",
    ),
    (
        "the owner holds it and the client does not",
        {"scopes": ("mcp",), "owner": "owner-1"},
        ADMIN,
        {"scope": ("admin",)},
        ScopeNotGranted,
        "not in the client's grant: admin",
    ),
    (
        "one lacking on each side",
        {"scopes": ("admin",), "owner": "owner-1"},
        OWNER,
        {"scope": ("admin", "mcp")},
        ScopeNotGranted,
        "not in the client's grant: mcp; not held by the owner: admin",
    ),
    # 7
    (
        "target not on the list",
        {"audiences": Audiences(allowed=(HERE,))},
        NO_OWNER,
        {"audience": (HERE, THERE)},
        AudienceNotAllowed,
        f"not an allowed target: {THERE}",
    ),
    (
        "the deployment's audience does not extend a client's own list",
        {"audiences": Audiences(allowed=(HERE,))},
        NO_OWNER,
        {"audience": (API,)},
        AudienceNotAllowed,
        f"not an allowed target: {API}",
    ),
    (
        "what a client serves it may not ask for",
        {"audiences": Audiences(allowed=(HERE,), serves=(THERE,))},
        NO_OWNER,
        {"audience": (THERE,)},
        AudienceNotAllowed,
        f"not an allowed target: {THERE}",
    ),
    (
        "the scope goes before the target",
        {"audiences": Audiences(allowed=(HERE,))},
        NO_OWNER,
        {"audience": (THERE,), "scope": ("a2a",)},
        ScopeNotGranted,
        "not in the client's grant: a2a",
    ),
    # 8
    (
        "hook permission without audience hook",
        {"scopes": ("mcp", "hook:track")},
        NO_OWNER,
        {},
        AudienceMissing,
        "hook:track requires the audience hook",
    ),
    (
        "hook permission for another audience",
        {"scopes": ("hook:govern",)},
        NO_OWNER,
        {"audience": (API,)},
        AudienceMissing,
        "hook:govern requires the audience hook",
    ),
    (
        "the target goes before its permissions",
        {"scopes": ("hook:govern",), "audiences": Audiences(allowed=(HERE,))},
        NO_OWNER,
        {"audience": ("hook",)},
        AudienceNotAllowed,
        "not an allowed target: hook",
    ),
]


@pytest.mark.parametrize(
    ("configuration", "owner", "wishes", "error", "message"),
    [pytest.param(*columns, id=description) for description, *columns in REFUSALS],
)
def test_refusals(
    configuration: dict[str, Any],
    owner: Principal | None,
    wishes: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    """A request that breaks a rule is refused with that rule's error and records nothing."""
    given(*events_of(a_client(**configuration))).refuses(
        lambda client: issue(client, owner=owner, **wishes), error, message
    )
