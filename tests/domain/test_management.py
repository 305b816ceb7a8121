"""Administering on a person's behalf: who holds the scopes, and where their tokens are good."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE, Audiences, Redirects
from domain.delegation import Exchange, SubjectToken
from domain.errors import AudienceNotAllowed, ScopeNotGranted
from domain.issuing_client import Authority
from domain.permissions import MANAGEMENT_SCOPES
from tests.builders import AT_NOON, NOON, POLICY, SIGNING, a_client, a_principal, a_request

ISSUER, API, OTHER = "https://auth.example", "https://api.example", "https://other.example"
HERE = f"{ISSUER}/management"
US = replace(POLICY, issuer=ISSUER, management_audience=HERE)
SCOPES = (*MANAGEMENT_SCOPES, "openid", "mcp", "user")


def a_desk(**configuration: Any) -> Client:
    """Return a client of people that carries the management scopes."""
    facts = {
        "client_id": "desk",
        "grant_types": ("authorization_code", "client_credentials", TOKEN_EXCHANGE),
        "scopes": SCOPES,
        "audiences": Audiences(allowed=(API, OTHER)),
        "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
        **configuration,
    }
    return a_client(**facts)


def for_person(
    *roles: str,
    scope: tuple[str, ...] = SCOPES,
    resource: tuple[str, ...] = (HERE,),
    narrowed: tuple[str, ...] | None = None,
    named: tuple[str, ...] = (),
    **configuration: Any,
) -> AccessToken:
    """Issue a token of an authorization that had `scope`, to a person that has `roles` now;
    `narrowed` and `named` are what the token request asks for.
    """
    return a_desk(**configuration).issue_token_for_person(
        a_request(scope=narrowed, audience=named),
        Authority(scope, scope, resource, NOON),
        grant_type="authorization_code",
        person=a_principal("alice", roles=roles),
        family_id=None,
        policy=US,
        signing=SIGNING,
        provenance=AT_NOON,
    )


def of_machine(**wishes: Any) -> AccessToken:
    """Issue a token to a machine whose owner holds nothing."""
    configuration = {"owner": "alice", **wishes.pop("configuration", {})}
    return a_desk(**configuration).issue_token(
        a_request(**wishes),
        grant_type="client_credentials",
        owner=a_principal("alice", roles=()),
        policy=US,
        signing=SIGNING,
        provenance=AT_NOON,
    )


def exchanged(token: AccessToken, root: AccessToken | None = None, **wishes: Any) -> AccessToken:
    """Exchange `token` of alice, who holds nothing any more."""
    return a_desk(client_id="agent").exchange_token(
        a_request(**wishes),
        Exchange(SubjectToken.of(token, root)),
        grant_type=TOKEN_EXCHANGE,
        owner=None,
        person=a_principal("alice", roles=()),
        policy=US,
        signing=SIGNING,
        provenance=AT_NOON,
    )


@pytest.mark.parametrize(
    ("roles", "held"),
    [
        ((), ()),
        (("user", "admin", "anonymous"), ()),
        (("clients:manage",), ("clients:manage",)),
        (("auditor",), ("audit:read", "reports:read")),
        (MANAGEMENT_SCOPES, MANAGEMENT_SCOPES),
    ],
)
def test_the_person_holds_what_is_offered_and_issued(
    roles: tuple[str, ...], held: tuple[str, ...]
) -> None:
    """Whatever the client carries, and whatever was granted when the person held more."""
    offered = a_desk().authorize(
        SCOPES,
        (HERE,),
        grant_type="authorization_code",
        person=a_principal("alice", roles=roles),
        policy=US,
    )
    issued = for_person(*roles).issued

    for granted, lacking in (
        (offered.granted, offered.withheld_by_owner),
        (issued.scope, issued.withheld_by_owner),
    ):
        assert tuple(name for name in granted if name in MANAGEMENT_SCOPES) == held
        assert set(MANAGEMENT_SCOPES) - set(held) <= set(lacking)


def test_user_stands_for_no_management() -> None:
    """What a client asks for by the word `user` is of the user tier alone."""
    granted = for_person("user", *MANAGEMENT_SCOPES, scope=("user", "clients:manage")).issued.scope
    offered = a_desk().authorize(
        ("user",),
        (),
        grant_type="authorization_code",
        person=a_principal("alice", roles=("user", *MANAGEMENT_SCOPES)),
        policy=US,
    )

    assert granted == ("user", "clients:manage")
    assert offered.granted == ("user",)


def test_nothing_but_management_asked_for_without_a_role() -> None:
    """The refusal names what the person does not hold."""
    with pytest.raises(ScopeNotGranted, match="not held by the person: clients:manage"):
        for_person("admin", scope=("clients:manage",))


def test_machines_have_them_whoever_owns_them() -> None:
    """The token of an owned machine names the owner, and was not granted for it."""
    token = of_machine(scope=MANAGEMENT_SCOPES)

    assert token.issued.subject == "alice"
    assert token.issued.scope == MANAGEMENT_SCOPES
    assert token.of_machine


def test_an_exchange_asks_whose_the_first_token_was() -> None:
    """The management scopes of a person's token are not passed on without a role, those of a
    machine's are: by the record of where the lineage began, however long that is.
    """
    person, machine = for_person("clients:manage"), of_machine(scope=("clients:manage", "mcp"))
    of_person = exchanged(person, scope=("mcp", "clients:manage"))
    of_owned = exchanged(machine, scope=("mcp", "clients:manage"))
    again = exchanged(of_owned, machine, scope=("clients:manage",))

    assert of_person.issued.scope == ("mcp",)
    assert of_owned.issued.scope == ("mcp", "clients:manage")
    assert again.issued.scope == ("clients:manage",)
    with pytest.raises(ScopeNotGranted, match="not held by the person: clients:manage"):
        exchanged(person, scope=("clients:manage",))
    with pytest.raises(ScopeNotGranted):  # where the log does not tell, it is a person's
        exchanged(of_owned, None, scope=("clients:manage",))


@pytest.mark.parametrize(
    ("what", "wishes", "audience"),
    [
        ("management alone", {"scope": ("audit:read",)}, (HERE,)),
        ("and others", {"scope": ("audit:read", "mcp")}, (HERE,)),
        ("no management", {"scope": ("mcp",)}, (API,)),
        ("named", {"scope": ("audit:read",), "audience": (HERE,)}, (HERE,)),
        ("another named", {"scope": ("audit:read",), "audience": (OTHER,)}, (OTHER,)),
        (
            "a default of its own",
            {
                "scope": ("audit:read",),
                "configuration": {"audiences": Audiences(allowed=(OTHER,), default=(OTHER,))},
            },
            (OTHER,),
        ),
        (
            "the issuer as the default, which management once was",
            {
                "scope": ("audit:read",),
                "configuration": {"audiences": Audiences(allowed=(ISSUER,), default=(ISSUER,))},
            },
            (HERE,),
        ),
    ],
)
def test_machines_with_management_scopes_have_its_audience(
    what: str, wishes: dict[str, Any], audience: tuple[str, ...]
) -> None:
    """By default; what was named, or set for the client, counts before."""
    assert of_machine(**wishes).issued.audience == audience


@pytest.mark.parametrize(
    "ask",
    [
        lambda: of_machine(scope=("audit:read",), audience=(HERE, API)),
        lambda: of_machine(scope=("audit:read",), audience=(ISSUER, HERE)),
        lambda: of_machine(
            scope=("audit:read",),
            configuration={"audiences": Audiences(allowed=(HERE, API), default=(HERE, API))},
        ),
        lambda: for_person("auditor", resource=(API, HERE)),
        lambda: exchanged(of_machine(), audience=(API, HERE)),
        lambda: a_desk().bound_resource((HERE, OTHER), ("audit:read",), US),
    ],
)
def test_the_audience_stands_alone(ask: Callable[[], object]) -> None:
    """Whoever else got the token could administer with it."""
    with pytest.raises(AudienceNotAllowed):
        ask()


def test_who_has_no_management_scope_cannot_ask_for_it() -> None:
    """The audience comes with the scopes, and is on no other client's list."""
    with pytest.raises(AudienceNotAllowed):
        of_machine(audience=(HERE,), configuration={"scopes": ("mcp",)})


@pytest.mark.parametrize(
    ("scope", "resource", "bound"),
    [
        (("audit:read",), (), (HERE,)),
        (("openid", "audit:read"), (), (HERE,)),
        (("user", "audit:read"), (), ()),
        (("user",), (), ()),
        (("openid",), (), ()),
        (("audit:read",), (OTHER,), (OTHER,)),
        (("user",), (HERE, HERE), (HERE,)),
    ],
)
def test_what_an_authorization_is_bound_to(
    scope: tuple[str, ...], resource: tuple[str, ...], bound: tuple[str, ...]
) -> None:
    """A request for management alone is bound to it; else a refresh for less could change that."""
    assert a_desk().bound_resource(resource, scope, US) == bound


def test_less_asked_for_is_good_at_the_same_place() -> None:
    """Management scopes that are left over do not bring their audience along."""
    token = for_person("auditor", resource=(), narrowed=("audit:read",))

    assert token.issued.audience == (API,)


@pytest.mark.parametrize(
    ("resource", "audience"),
    [((), (API, ISSUER)), ((API,), (API,)), ((API, OTHER), (API, OTHER)), ((HERE,), (HERE,))],
)
def test_openid_adds_the_issuer_where_nothing_was_named(
    resource: tuple[str, ...], audience: tuple[str, ...]
) -> None:
    """A resource that was named is not to use the token here."""
    issued = for_person("user", scope=("openid", "user"), resource=resource).issued

    assert issued.audience == audience


def test_a_default_of_management_stays_alone_with_openid() -> None:
    """So it is for the console."""
    own = Audiences(allowed=(HERE,), default=(HERE,))
    issued = for_person("auditor", resource=(), audiences=own).issued

    assert issued.audience == (HERE,)


@pytest.mark.parametrize(
    ("resource", "named", "audience"),
    [
        ((), (API,), (API,)),
        ((), (OTHER,), None),
        ((), (ISSUER,), None),
        ((), (HERE,), None),
        ((OTHER,), (OTHER,), (OTHER,)),
        ((OTHER,), (API,), None),
        ((OTHER,), (HERE,), None),
    ],
)
def test_a_refresh_reaches_what_was_bound(
    resource: tuple[str, ...], named: tuple[str, ...], audience: tuple[str, ...] | None
) -> None:
    """Where nothing was bound, that is what stood in for it, not all that the client may have."""
    if audience is None:
        with pytest.raises(AudienceNotAllowed):
            for_person("user", scope=("user", "openid"), resource=resource, named=named)
        return
    issued = for_person("user", scope=("user",), resource=resource, named=named).issued

    assert issued.audience == audience


def test_a_foreign_token_is_a_persons() -> None:
    """What a trusted issuer vouched for speaks of a person, until something else is known."""
    foreign = SubjectToken(
        jti=None,
        subject="alice",
        session_id="sess_1",
        scope=("clients:manage",),
        expires_at=NOON + timedelta(hours=1),
        authenticated_at=None,
    )

    assert foreign.for_person
