"""What a client may be issued on a person's authority: never more than both hold."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.access_token import AccessToken
from domain.client_configuration import Audiences, Redirects, RefreshPolicy
from domain.errors import (
    AudienceNotAllowed,
    DomainError,
    GrantTypeNotRegistered,
    PersonNotActive,
    ScopeNotGranted,
    ScopeUnknown,
)
from domain.issuing_client import Authority
from domain.principal import Principal
from tests.builders import (
    AT_NOON,
    NOON,
    POLICY,
    SIGNING,
    a_client,
    a_principal,
    a_request,
    stream_id,
)

API = "https://api.example"
WEB: dict[str, Any] = {
    "grant_types": ("authorization_code", "refresh_token"),
    "scopes": ("user", "anonymous", "mcp", "openid", "offline_access"),
    "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
}


def issue(
    *,
    wishes: dict[str, Any] | None = None,
    authority: Authority | None = None,
    person: Principal | None = None,
    family_id: UUID | None = None,
    **configuration: Any,
) -> AccessToken:
    """Issue a token for a person with the roles user and anonymous."""
    return a_client(**{**WEB, **configuration}).issue_token_for_person(
        a_request(**(wishes or {})),
        authority or Authority(("user",), ("user", "anonymous"), (), NOON),
        grant_type="authorization_code",
        person=person or a_principal("alice", roles=("user", "anonymous")),
        family_id=family_id,
        policy=POLICY,
        signing=SIGNING,
        provenance=AT_NOON,
    )


def authorize(scope: tuple[str, ...] | None, **configuration: Any) -> tuple[str, ...]:
    """Return what a person with three roles would let a client have."""
    return (
        a_client(**{**WEB, **configuration})
        .authorize(
            scope,
            (),
            grant_type="authorization_code",
            person=a_principal("root", roles=("admin", "user", "anonymous")),
            policy=POLICY,
        )
        .granted
    )


def test_user_stands_for_what_both_hold() -> None:
    """`user` expands to the person's permissions, and stops at what the client was given."""
    assert authorize(("user",)) == ("user", "anonymous")
    assert authorize(("user",), scopes=("user", "admin")) == ("admin", "user")
    assert authorize(("mcp", "openid")) == ("mcp", "openid")


def test_a_role_gained_since_is_not_in_an_old_grant() -> None:
    """What was not consented to does not come with a later refresh."""
    token = issue(
        authority=Authority(("user",), ("user",), (), NOON),
        person=a_principal("root", roles=("admin", "user")),
        scopes=("user", "admin", "anonymous"),
    )

    assert token.issued.scope == ("user",)


def test_what_is_issued_says_on_whose_authority() -> None:
    """Subject, roles and the moment of the login are on the record."""
    issued = issue().issued

    assert (issued.subject, issued.roles) == ("alice", ("user", "anonymous"))
    assert issued.authenticated_at == NOON
    assert issued.scope == ("user", "anonymous")
    assert issued.audience == (API,)


def test_openid_adds_the_userinfo_endpoint() -> None:
    """With openid the issuer is an audience too: its userinfo endpoint takes the token."""
    client = a_client(**WEB)
    policy = type(POLICY)(POLICY.catalogue, 3600, (API,), subject_is_owner=True, issuer="https://i")
    token = client.issue_token_for_person(
        a_request(),
        Authority(("openid",), ("openid",), (), NOON),
        grant_type="authorization_code",
        person=a_principal("alice"),
        family_id=None,
        policy=policy,
        signing=SIGNING,
        provenance=AT_NOON,
    )

    assert token.issued.audience == (API, "https://i")


@pytest.mark.parametrize(("of_family", "seconds"), [(60, 60), (86_400, 3600)])
def test_the_first_token_ends_with_its_family_at_the_latest(of_family: int, seconds: int) -> None:
    """The family begins with it, by the terms of its client."""
    token = issue(family_id=stream_id(NOON), refresh=RefreshPolicy(lifetime=of_family))

    assert token.issued.expires_at == NOON + timedelta(seconds=seconds)


REFUSALS: list[tuple[str, dict[str, Any], type[DomainError]]] = [
    ("wider than granted", {"wishes": {"scope": ("mcp",)}}, ScopeNotGranted),
    ("unknown scope", {"wishes": {"scope": ("root",)}}, ScopeUnknown),
    ("scope taken from the client", {"scopes": ("mcp",)}, ScopeNotGranted),
    ("role taken from the person", {"person": a_principal("a", roles=())}, ScopeNotGranted),
    ("grant type taken", {"grant_types": ()}, GrantTypeNotRegistered),
    ("foreign target", {"wishes": {"audience": ("https://x.example",)}}, AudienceNotAllowed),
    (
        "target beyond the bound one",
        {
            "wishes": {"audience": ("hook",)},
            "authority": Authority(("user",), ("user",), (API,), NOON),
        },
        AudienceNotAllowed,
    ),
    (
        "target taken from the client",
        {
            "authority": Authority(("user",), ("user",), ("hook",), NOON),
            "audiences": Audiences(allowed=(API,)),
        },
        AudienceNotAllowed,
    ),
]


@pytest.mark.parametrize(("case", "given", "error"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_refusals(case: str, given: dict[str, Any], error: type[DomainError]) -> None:
    """What the client, the person or the grant lacks by now is refused."""
    with pytest.raises(error):
        issue(**given)


def test_a_deactivated_person_lets_nobody_act() -> None:
    """Nothing is issued on the authority of somebody who was deactivated."""
    person = a_principal("alice")
    person.deactivate(AT_NOON)
    with pytest.raises(PersonNotActive):
        issue(person=person)


@pytest.mark.parametrize(
    ("scope", "configuration", "given"),
    [
        (("openid", "offline_access"), {}, True),
        (("openid", "user"), {}, False),
        (("user",), {}, True),
        (("user",), {"refresh": {"without_openid": False}}, False),
        (("offline_access", "openid"), {"grant_types": ("authorization_code",)}, False),
    ],
)
def test_who_gets_a_refresh_token(
    scope: tuple[str, ...], configuration: dict[str, Any], given: bool
) -> None:
    """offline_access decides with openid, the client's policy without, the grant type always."""
    assert a_client(**{**WEB, **configuration}).gets_refresh_token(scope) is given


@pytest.mark.parametrize("scope", [("openid", "mcp"), ("mcp", "openid", "mcp")])
def test_what_is_beyond_is_said_in_one_order(scope: tuple[str, ...]) -> None:
    """However it was asked for: nobody makes a new reason of it by asking in another way."""
    with pytest.raises(ScopeNotGranted, match="beyond what was granted: mcp openid"):
        issue(wishes={"scope": scope})
