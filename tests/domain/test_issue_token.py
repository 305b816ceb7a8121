"""What Client.issue_token grants for client_credentials, by the numbered steps of the grant."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.access_token import AccessToken
from domain.client_configuration import Audiences, TokenPolicy
from domain.principal import Principal
from tests.builders import AT_NOON, CATALOGUE, POLICY, a_client, a_principal
from tests.domain.given import events_of, fact, given
from tests.domain.issuing import (
    ADMIN,
    API,
    HERE,
    ISSUED_AT,
    ISSUING,
    OWNER,
    THERE,
    TOKEN_ID,
    issue,
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
                family_id=None,
                authenticated_at=None,
                roles=None,
                descent=None,
                may_act=None,
                form="access_token",
                confirmation=None,
                authorization_details=(),
                payload_sha256=None,
                id_payload_sha256=None,
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
