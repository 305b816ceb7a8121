"""What Client.issue_token refuses, by the numbered steps of client_credentials.

(1, authentication, is the edge's; that a public client is refused is part of it.) Where two rules
are broken at once, the order of the checks decides which of them is named.
"""

from typing import Any

import pytest

from domain.client_configuration import Audiences, ClientType
from domain.errors import (
    AudienceMissing,
    AudienceNotAllowed,
    GrantTypeNotRegistered,
    OwnerNotActive,
    PublicClientRefused,
    ScopeNotGranted,
    ScopeUnknown,
)
from domain.principal import Principal
from tests.builders import AT_NOON, a_client, a_principal
from tests.domain.given import events_of, given
from tests.domain.issuing import ADMIN, API, HERE, OWNER, THERE, issue


def deactivated() -> Principal:
    """Return an owner whose authority was withdrawn."""
    principal = a_principal(roles=("admin",))
    principal.deactivate(AT_NOON)
    return principal


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
