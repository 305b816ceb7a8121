"""jwt-bearer (RFC 7523) and ID-JAG: what an assertion leads to, once, and what is refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from application.ending import end_session
from application.errors import (
    InvalidScope,
    InvalidTarget,
    IssuerAway,
    OAuthError,
    TooManyRequests,
    UnauthorizedClient,
    UnusableAssertion,
)
from application.grants import jwt_bearer
from application.grants.jwt_bearer import Parameters
from application.introspection import introspect
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import JWT_BEARER, Audiences, ClientType
from domain.descent import Vouched
from domain.permissions import Catalogue
from domain.principal import Principal
from domain.session import Session
from domain.trusted_issuer import TrustedIssuer
from tests.application.foreign_issuer import MADE_AT, ForeignIssuer, foreign_issuer
from tests.application.service import ISSUER, FakeService, authenticated, context
from tests.builders import AT_NOON, CATALOGUE, NOON, a_client, a_principal

API, OTHER = "https://api.example", "https://other.example"
ID_JAG = "oauth-id-jag+jwt"


@dataclass
class Scene:
    """A client, a person, and an issuer that is trusted."""

    service: FakeService
    issuer: ForeignIssuer
    client: Client

    def assertion(self, typ: str | None = "JWT", **changes: Any) -> str:
        """Return a good assertion about alice."""
        return self.issuer.token(typ, **changes)

    def id_jag(self, **changes: Any) -> str:
        """Return an identity assertion for the client."""
        facts = {"client_id": "agent", "resource": API, **changes}
        return self.issuer.token(ID_JAG, **facts)

    async def redeem(self, assertion: str, **wishes: Any) -> dict[str, Any]:
        """Return the claims of the token that the client gets."""
        asked = replace(Parameters(assertion, None, ()), **wishes)
        given = await jwt_bearer.handle(asked, authenticated(self.client), context(), self.service)
        assert given.refresh_token is None
        self.given = given.access_token
        claims: dict[str, Any] = jwt.decode(given.access_token, options={"verify_signature": False})
        return claims


@pytest.fixture
def at(service: FakeService) -> Iterator[Scene]:
    """A scene at noon, with ID-JAG turned on."""
    service.with_policy(id_jag=True)
    client = a_client(
        client_id="agent",
        grant_types=(JWT_BEARER,),
        scopes=("user", "mcp", "service"),
        audiences=Audiences(allowed=(API, OTHER), default=(API,)),
    )
    service.log.record(client, a_principal("alice"), a_principal("gone"))
    gone = service.log.folded(Principal.stream("gone"))
    gone.deactivate(AT_NOON)
    service.log.record(gone)
    with foreign_issuer() as issuer:
        issuer.trust(service)
        yield Scene(service, issuer, client)


async def test_an_assertion_becomes_a_token_in_a_session(at: Scene) -> None:
    """The person is named, a session is opened and recorded with the token, and by whose word."""
    claims = await at.redeem(at.assertion(), scope=("user",))
    unit = at.service.log.units[-1]
    issued = at.service.log.of(AccessToken.Issued)[-1]

    assert (claims["sub"], claims["scope"], claims["aud"]) == ("alice", "user", API)
    assert (claims["client_id"], claims["roles"]) == ("agent", ["user"])
    assert "act" not in claims
    assert "auth_time" not in claims
    assert [type(event) for event in unit] == [
        Session.Started,
        Session.ClientAuthorized,
        AccessToken.Issued,
    ]
    assert isinstance(issued, AccessToken.Issued)
    assert issued.descent is not None
    assert issued.descent.vouched == Vouched(at.issuer.name, "foreign-1", 1)
    assert issued.grant_type == JWT_BEARER


async def test_a_token_does_not_outlive_its_assertion(at: Scene) -> None:
    """Nor does its session; where the policy says so, its lifetime is that of any other token."""
    claims = await at.redeem(at.assertion(exp=MADE_AT + 90))
    started = at.service.log.of(Session.Started)[-1]
    id_jag = await at.redeem(at.id_jag(exp=MADE_AT + 30, jti="other"))
    long = await at.redeem(at.assertion(exp=MADE_AT + 3600, jti="long"))
    at.service.with_policy(within_assertion=False)
    unbound = await at.redeem(at.assertion(exp=MADE_AT + 90, jti="unbound"))

    assert isinstance(started, Session.Started)
    assert claims["exp"] == started.expires_at.timestamp() == MADE_AT + 90
    assert id_jag["exp"] == MADE_AT + 30
    assert (
        long["exp"] - long["iat"] == unbound["exp"] - unbound["iat"] == at.service.policy.lifetime
    )


async def test_assertions_are_limited(at: Scene) -> None:
    """A client may present so many, good or bad, and another client as many again."""
    at.service.limit(rate_limit_foreign_token_per_client="2/minute")
    await at.redeem(at.assertion())
    with pytest.raises(UnusableAssertion):
        await at.redeem("no assertion")

    with pytest.raises(TooManyRequests, match="try again in 60 seconds"):
        await at.redeem(at.assertion())
    at.client = a_client(client_id="other", grant_types=(JWT_BEARER,), scopes=("mcp",))
    assert (await at.redeem(at.assertion(jti="another", scope="mcp")))["client_id"] == "other"


async def test_the_assertions_scope_stands_in(at: Scene) -> None:
    """Where the request names none; `user` expands to what the assertion passes on alone."""
    assert (await at.redeem(at.assertion()))["scope"] == "user mcp"


async def test_what_tells_of_a_login_is_not_passed_on(at: Scene) -> None:
    """No ID token comes of an assertion, and what left the catalogue counts for nothing."""
    at.service.log.record(_terms(at, scopes=("openid", "mcp", "a2a")))
    left = tuple(one for one in CATALOGUE.permissions if one.name != "a2a")
    at.service.with_policy(catalogue=Catalogue(permissions=left, roles=CATALOGUE.roles))
    at.client = a_client(
        client_id="reader", grant_types=(JWT_BEARER,), scopes=("openid", "profile", "mcp")
    )
    at.service.log.record(at.client)
    claims = await at.redeem(at.assertion(scope="openid mcp a2a"))
    with pytest.raises(InvalidScope):
        await at.redeem(at.assertion(scope="openid mcp", jti="2"), scope=("openid",))

    assert claims["scope"] == "mcp"


async def test_details_of_others_are_not_passed_on(at: Scene) -> None:
    """What another issuer let somebody do there says nothing about what may be done here."""
    at.client.set_authorization_details_types(("payment",), provenance=AT_NOON)
    claims = await at.redeem(at.assertion(authorization_details=[{"type": "payment"}]))

    assert "authorization_details" not in claims


async def test_the_session_lasts_as_long_as_its_token(at: Scene) -> None:
    """It is there to be ended, and nobody is logged in by it."""
    claims = await at.redeem(at.assertion())
    (started,) = at.service.log.of(Session.Started)

    assert int(started.expires_at.timestamp()) == claims["exp"]


async def test_the_login_is_passed_on(at: Scene) -> None:
    """Where the issuer says when it was."""
    claims = await at.redeem(at.assertion(auth_time=MADE_AT - 60))

    assert claims["auth_time"] == MADE_AT - 60


async def test_ending_the_session_voids_the_token(at: Scene) -> None:
    """As with any other login."""
    claims = await at.redeem(at.assertion())
    before = await introspect(at.given, authenticated(at.client), at.service)
    await end_session(claims["sid"], at.service, by="operator-1", reason="test", provenance=AT_NOON)

    assert before["active"]
    assert not (await introspect(at.given, authenticated(at.client), at.service))["active"]


async def test_a_deactivated_person_voids_the_token(at: Scene) -> None:
    """Although no login of it is recorded here."""
    await at.redeem(at.assertion())
    person = at.service.log.folded(Principal.stream("alice"))
    person.deactivate(AT_NOON)
    at.service.log.record(person)

    assert not (await introspect(at.given, authenticated(at.client), at.service))["active"]


@pytest.mark.parametrize("jti", ["foreign-1", None, "\u00e9"])
async def test_an_assertion_is_good_once(at: Scene, jti: str | None) -> None:
    """With a name of its own or without, whoever brings it; another one is another one."""
    assertion = at.assertion(jti=jti)
    await at.redeem(assertion)
    with pytest.raises(UnusableAssertion) as refusal:
        await at.redeem(assertion)
    other = a_client(client_id="other", grant_types=(JWT_BEARER,))
    at.service.log.record(other)
    again = Parameters(assertion, None, ())
    with pytest.raises(UnusableAssertion):
        await jwt_bearer.handle(again, authenticated(other), context(), at.service)
    another = None if jti is None else "foreign-2"
    await at.redeem(at.assertion(jti=another, iat=MADE_AT - 1))

    assert refusal.value.reason == "assertion used before"
    assert len(at.service.log.of(Session.Started)) == 2


async def test_the_token_endpoint_is_an_audience(at: Scene) -> None:
    """RFC 7523, Section 3: it "MAY be used as a value"."""
    assert (await at.redeem(at.assertion(aud=f"{ISSUER}/oauth/token")))["sub"] == "alice"


async def test_an_id_jag_pins_the_resource(at: Scene) -> None:
    """The token is good for what the assertion names and nothing else."""
    assert (await at.redeem(at.id_jag(resource=OTHER)))["aud"] == OTHER
    claims = await at.redeem(at.id_jag(jti="2", resource=[API, OTHER]), audience=(API,))
    assert claims["aud"] == API


async def test_a_newcomer_is_recorded_with_its_token(at: Scene) -> None:
    """In one unit; and where somebody else registers it at that moment, the assertion counts."""
    at.service.log.record(_terms(at, create_principals=True, subject_prefix="id-"))
    first = await at.redeem(at.assertion(sub="carol", scope="mcp"))
    unit = at.service.log.units[-1]
    at.service.log.meanwhile = lambda: at.service.log.record(a_principal("id-dave"))
    second = await at.redeem(at.assertion(sub="dave", scope="mcp", jti="2"))

    assert (first["sub"], second["sub"]) == ("id-carol", "id-dave")
    assert isinstance(unit[0], Principal.Registered)
    assert isinstance(unit[-1], AccessToken.Issued)


@dataclass(frozen=True)
class Refusal:
    """What is wrong, how the assertion comes about, and what is answered."""

    description: str
    assertion: Callable[[Scene], str]
    error: type[OAuthError] = UnusableAssertion
    reason: str = ""
    wishes: dict[str, Any] = field(default_factory=dict)
    setup: Callable[[Scene], object] = field(default=lambda _: None)


def good(**changes: Any) -> Callable[[Scene], str]:
    """Return how an assertion comes about."""
    return lambda at: at.assertion(**changes)


def id_jag(**changes: Any) -> Callable[[Scene], str]:
    """Return how an identity assertion comes about."""
    return lambda at: at.id_jag(**changes)


def _terms(at: Scene, **changes: Any) -> TrustedIssuer:
    issuer: TrustedIssuer = at.service.log.folded(TrustedIssuer.stream(at.issuer.name))
    terms = issuer.terms.model_copy(update=changes)
    issuer.replace_terms(terms, catalogue=at.service.catalogue, provenance=AT_NOON)
    return issuer


def _off(at: Scene) -> None:
    at.service.with_policy(id_jag=False)


def _with(**configuration: Any) -> Callable[[Scene], None]:
    def apply(at: Scene) -> None:
        facts = {"client_id": "agent-2", "grant_types": (JWT_BEARER,), **configuration}
        at.client = a_client(**facts)
        at.service.log.record(at.client)

    return apply


def _away(at: Scene) -> None:
    at.issuer.provider.away = {"/jwks"}


REFUSALS = (
    Refusal("no JWT", lambda _: "x", reason="unreadable"),
    Refusal("unsigned", lambda at: at.issuer.unsigned(), reason="not of the type"),
    Refusal("an access token", good(typ="at+jwt"), reason="not of the type"),
    Refusal("a logout token", good(typ="logout+jwt"), reason="not of the type"),
    Refusal("another issuer", good(iss="https://evil.example"), reason="not trusted"),
    Refusal("another audience", good(aud=API), reason="not meant"),
    Refusal(
        "an ID token that the terms would let be exchanged",
        good(aud="our-client-there"),
        reason="not meant",
        setup=lambda at: at.service.log.record(_terms(at, audience=("our-client-there",))),
    ),
    Refusal("expired", good(exp=MADE_AT), reason="expired"),
    Refusal("ends too late", good(exp=MADE_AT + 3601), reason="too far"),
    Refusal("unknown person", good(sub="nobody"), reason="no active principal"),
    Refusal("deactivated person", good(sub="gone"), reason="no active principal"),
    Refusal("no scope at all", good(scope=None), InvalidScope, "a scope is required"),
    Refusal("scope beyond the assertion", good(), InvalidScope, wishes={"scope": ("service",)}),
    Refusal("scope beyond the person", good(), InvalidScope, wishes={"scope": ("admin",)}),
    Refusal("unknown scope", good(), InvalidScope, wishes={"scope": ("nonsense",)}),
    Refusal("unknown target", good(), InvalidTarget, wishes={"audience": ("https://evil",)}),
    Refusal(
        "public client",
        good(),
        UnauthorizedClient,
        setup=_with(client_type=ClientType.PUBLIC),
    ),
    Refusal(
        "grant not registered",
        good(),
        UnauthorizedClient,
        setup=_with(grant_types=("client_credentials",)),
    ),
    Refusal("keys away", good(), IssuerAway, setup=_away),
    Refusal("ID-JAG turned off", id_jag(), reason="not of the type", setup=_off),
    Refusal("ID-JAG of another client", id_jag(client_id="other"), reason="another client's"),
    Refusal("ID-JAG of no client", id_jag(client_id=None), reason="another client's"),
    Refusal("ID-JAG with odd resource", id_jag(resource={"a": 1}), reason="no usable resource"),
    Refusal("ID-JAG with odd resources", id_jag(resource=[1]), reason="no usable resource"),
    Refusal("ID-JAG for elsewhere", id_jag(resource="https://evil"), InvalidTarget),
    Refusal("beyond the ID-JAG", id_jag(), InvalidTarget, wishes={"audience": (OTHER,)}),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.description)
async def test_refuses(at: Scene, case: Refusal) -> None:
    """Each has its error and its true reason, and records nothing."""
    case.setup(at)
    with pytest.raises(case.error) as refusal:
        await at.redeem(case.assertion(at), **case.wishes)

    assert case.reason in refusal.value.reason
    assert at.service.log.of(AccessToken.Issued) == []
    assert at.service.log.of(Session.Started) == []


async def test_a_refused_assertion_is_not_used_up(at: Scene) -> None:
    """What was wrong with the request can be put right."""
    assertion = at.assertion()
    with pytest.raises(InvalidScope):
        await at.redeem(assertion, scope=("admin",))

    assert (await at.redeem(assertion))["sub"] == "alice"


async def test_replay_protection_outlives_the_assertion(at: Scene) -> None:
    """The id of the token lies at the end of the assertion, so that its stream is kept longer."""
    await at.redeem(at.assertion())
    (issued,) = at.service.log.of(AccessToken.Issued)
    milliseconds = issued.originator_id.int >> 80

    assert milliseconds == int((NOON + timedelta(seconds=300)).timestamp() * 1000)
    assert ISSUER not in str(issued.originator_id)


async def test_a_person_administers_by_its_own_role_alone(at: Scene) -> None:
    """An issuer that may pass on a management scope gives it to no person that lacks the role."""
    at.service.log.record(_terms(at, scopes=("mcp", "clients:manage")))
    at.client = a_client(
        client_id="managing", grant_types=(JWT_BEARER,), scopes=("mcp", "clients:manage")
    )
    at.service.log.record(at.client)
    scope = "mcp clients:manage"
    without = await at.redeem(at.assertion(scope=scope))
    with pytest.raises(InvalidScope, match="not held by the person: clients:manage"):
        await at.redeem(at.assertion(jti="alone", scope="clients:manage"))
    alice = at.service.log.folded(Principal.stream("alice"))
    alice.assign_roles(("clients:manage",), catalogue=CATALOGUE, provenance=AT_NOON)
    at.service.log.record(alice)

    assert without["scope"] == "mcp"
    assert (await at.redeem(at.assertion(jti="with", scope=scope)))["scope"] == scope


async def test_a_target_is_named_where_the_assertion_binds_none(at: Scene) -> None:
    """The request is the authorization there; an ID-JAG that binds one is not left."""
    assert (await at.redeem(at.assertion(), audience=(OTHER,)))["aud"] == OTHER
    with pytest.raises(InvalidTarget):
        await at.redeem(at.id_jag(jti="2", resource=[API]), audience=(OTHER,))
