"""Exchanging the tokens of a trusted issuer: what they lead to, and every way to be refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest

from application.errors import (
    InvalidRequest,
    InvalidScope,
    IssuerAway,
    OAuthError,
    TooManyRequests,
    UnusableToken,
)
from application.grants import token_exchange
from application.grants.token_exchange import Parameters
from application.introspection import introspect
from application.outbound import Outbound
from application.subject_tokens import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE
from application.trusted_issuers import TrustedIssuers
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE, Audiences
from domain.descent import Actor, Vouched
from domain.principal import Principal
from domain.trusted_issuer import TrustedIssuer
from tests.application.foreign_issuer import MADE_AT, ForeignIssuer, foreign_issuer
from tests.application.people.upstream_provider import SigningKey
from tests.application.service import ISSUER, FakeService, authenticated, context
from tests.builders import AT_NOON, NOON, a_client, a_principal

API = "https://api.example"


@dataclass
class Scene:
    """A client, a person, and an issuer that is trusted."""

    service: FakeService
    issuer: ForeignIssuer
    client: Client

    async def exchange(
        self, token: str, kind: str = ACCESS_TOKEN_TYPE, **at: Any
    ) -> dict[str, Any]:
        """Return the claims of the token that the client gets."""
        asked = Parameters(token, kind, None, None, None, None, (API,))
        given = await token_exchange.handle(
            asked, authenticated(self.client), context(**at), self.service
        )
        claims: dict[str, Any] = jwt.decode(given.access_token, options={"verify_signature": False})
        self.given = given.access_token
        return claims

    def folded(self, stream: Any) -> Any:
        """Return an aggregate of the log, to decide something about."""
        return self.service.log.folded(stream)


@pytest.fixture
def at(service: FakeService) -> Iterator[Scene]:
    """A scene at noon."""
    client = a_client(
        client_id="agent",
        grant_types=(TOKEN_EXCHANGE,),
        scopes=("user", "mcp", "service"),
        audiences=Audiences(allowed=(API,)),
    )
    service.log.record(client, a_principal("alice"), a_principal("gone"))
    gone = service.log.folded(Principal.stream("gone"))
    gone.deactivate(AT_NOON)
    service.log.record(gone)
    with foreign_issuer() as issuer:
        issuer.trust(service)
        yield Scene(service, issuer, client)


async def test_a_foreign_token_is_exchanged(at: Scene) -> None:
    """The person stays, the client acts, and the record says on whose word under which terms."""
    claims = await at.exchange(at.issuer.token(act={"sub": "portal"}, auth_time=MADE_AT - 60))
    record = at.service.log.of(AccessToken.Issued)[-1]

    assert (claims["sub"], claims["scope"], claims["aud"]) == ("alice", "user mcp", API)
    assert claims["act"] == {"sub": "agent", "act": {"sub": "portal", "iss": at.issuer.name}}
    assert (claims["exp"], claims["auth_time"]) == (MADE_AT + 300, MADE_AT - 60)
    assert isinstance(record, AccessToken.Issued)
    assert record.descent is not None
    assert record.descent.vouched == Vouched(at.issuer.name, "foreign-1", 1)
    assert record.descent.actors == (Actor("agent"), Actor("portal", at.issuer.name))
    assert (record.descent.lineage, record.descent.of_subject) == ((), ("user", "mcp"))


async def test_our_own_name_is_no_trusted_issuers(at: Scene) -> None:
    """An issuer that was trusted before its name became ours vouches for nothing: tokens in our
    name go by our records.
    """
    at.service.trusted = TrustedIssuers(at.service.directory, Outbound(), issuer=at.issuer.name)
    with pytest.raises(UnusableToken) as refusal:
        await at.exchange(at.issuer.token(aud=at.issuer.name))

    assert refusal.value.reason == "unknown kid"


async def test_details_of_others_are_not_passed_on(at: Scene) -> None:
    """What another issuer let somebody do there says nothing about what may be done here."""
    at.client.set_authorization_details_types(("payment",), provenance=AT_NOON)
    claims = await at.exchange(at.issuer.token(authorization_details=[{"type": "payment"}]))

    assert "authorization_details" not in claims


@pytest.mark.parametrize(
    ("kind", "typ"),
    [
        (ACCESS_TOKEN_TYPE, "at+jwt"),
        (ACCESS_TOKEN_TYPE, "application/at+jwt"),
        (JWT_TYPE, "at+jwt"),
        (JWT_TYPE, "JWT"),
        (JWT_TYPE, None),
        (ID_TOKEN_TYPE, "JWT"),
        (ID_TOKEN_TYPE, None),
    ],
)
async def test_media_types(at: Scene, kind: str, typ: str | None) -> None:
    """What is presented as what it is, is taken."""
    assert (await at.exchange(at.issuer.token(typ), kind))["sub"] == "alice"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
async def test_algorithms(at: Scene, algorithm: str) -> None:
    """Every algorithm of the terms verifies."""
    key = SigningKey.make(algorithm, "another")
    at.issuer.provider.keys.append(key.published)

    assert (await at.exchange(at.issuer.token(key=key)))["sub"] == "alice"


async def test_terms_say_what_tokens_without_scope_stand_for(at: Scene) -> None:
    """The default stands in, and no more of it than the terms' scopes, client and person hold."""
    at.service.log.record(_replaced(at, default_scopes=("mcp",)))

    assert (await at.exchange(at.issuer.token(scope=None)))["scope"] == "mcp"


async def test_a_claim_with_a_prefix_names_the_person(at: Scene) -> None:
    """By the terms, not by `sub`."""
    at.service.log.record(
        _replaced(at, subject_claim="email", subject_prefix="id-"),
        a_principal("id-alice@id.example"),
    )
    claims = await at.exchange(at.issuer.token(email="alice@id.example"))

    assert claims["sub"] == "id-alice@id.example"


async def test_foreign_tokens_are_limited(at: Scene) -> None:
    """A client may have so many verified, good or bad; past that the issuer is not even asked."""
    at.service.limit(rate_limit_foreign_token_per_client="2/minute")
    for _ in range(2):
        with pytest.raises(UnusableToken):
            await at.exchange(at.issuer.token("no type of ours"))
    at.service.clock.advance(seconds=20)

    with pytest.raises(TooManyRequests, match="try again in 40 seconds"):
        await at.exchange(at.issuer.token())
    assert at.issuer.provider.requests.total() == 0
    with pytest.raises(UnusableToken):  # ours are not limited
        await at.exchange("a.b.c")


async def test_people_are_registered_where_the_terms_say_so(at: Scene) -> None:
    """With the prefix and the roles of the terms, once, by the issuer."""
    at.service.log.record(
        _replaced(at, create_principals=True, subject_prefix="id-", roles=("user",))
    )
    for _ in range(2):
        assert (await at.exchange(at.issuer.token(sub="carol")))["sub"] == "id-carol"
    created: list[Any] = [
        event for event in at.service.log.of(Principal.Registered) if event.subject == "id-carol"
    ]

    assert [(one.roles, one.by) for one in created] == [(("user",), at.issuer.name)]


async def test_a_refused_exchange_registers_nobody(at: Scene) -> None:
    """A person is recorded with its first token or not at all."""
    at.service.log.record(_replaced(at, create_principals=True, subject_prefix="id-"))
    with pytest.raises(InvalidScope):
        await at.exchange(at.issuer.token(sub="carol", scope="admin"))

    assert at.service.directory.principal("id-carol") is None


async def test_two_first_tokens_at_once(at: Scene) -> None:
    """Whoever is second finds the person that the first one registered, and goes on."""
    at.service.log.record(_replaced(at, create_principals=True, subject_prefix="id-"))
    at.service.log.meanwhile = lambda: at.service.log.record(a_principal("id-carol"))
    claims = await at.exchange(at.issuer.token(sub="carol", scope="mcp"))

    assert claims["sub"] == "id-carol"
    assert len(at.service.log.of(AccessToken.Issued)) == 1


async def test_removing_the_issuer_voids_what_it_vouched_for(at: Scene) -> None:
    """At once, as introspection says."""
    await at.exchange(at.issuer.token())
    asking = authenticated(at.client)
    before = await introspect(at.given, asking, at.service)
    _remove(at)

    assert before["active"]
    assert await introspect(at.given, asking, at.service) == {"active": False}


async def test_keys_are_served_on_for_an_hour(at: Scene) -> None:
    """While the issuer is away its old keys verify, for an hour after they were fresh."""
    await at.exchange(at.issuer.token())
    at.issuer.provider.away = {"/jwks", "/.well-known/openid-configuration"}
    for minutes, served in ((61, True), (119, True), (121, False)):
        moment = NOON + timedelta(minutes=minutes)
        token = at.issuer.token(exp=int(moment.timestamp()) + 60)
        if served:
            assert await at.exchange(token, moment=moment)
        else:
            with pytest.raises(IssuerAway):
                await at.exchange(token, moment=moment)


async def test_made_up_keys_are_asked_for_once_a_minute(at: Scene) -> None:
    """However many there are."""
    await at.exchange(at.issuer.token())
    for number in range(20):
        with pytest.raises(UnusableToken):
            await at.exchange(at.issuer.token(header={"kid": f"made-up-{number}"}))

    assert at.issuer.provider.requests["/jwks"] == 1


@dataclass(frozen=True)
class Refusal:
    """What is wrong, how the token comes about, and what is answered."""

    description: str
    token: Callable[[Scene], str]
    error: type[OAuthError] = UnusableToken
    reason: str = ""
    kind: str = ACCESS_TOKEN_TYPE
    setup: Callable[[Scene], object] = field(default=lambda _: None)


def token(**changes: Any) -> Callable[[Scene], str]:
    """Return how a token with other claims comes about."""
    return lambda at: at.issuer.token(**changes)


def header(**members: Any) -> Callable[[Scene], str]:
    """Return how a token with another header comes about."""
    return lambda at: at.issuer.token(header=members)


def _replaced(at: Scene, **terms: Any) -> TrustedIssuer:
    issuer: TrustedIssuer = at.folded(TrustedIssuer.stream(at.issuer.name))
    issuer.replace_terms(
        issuer.terms.model_copy(update=terms), catalogue=at.service.catalogue, provenance=AT_NOON
    )
    return issuer


def _remove(at: Scene) -> None:
    issuer = at.folded(TrustedIssuer.stream(at.issuer.name))
    issuer.remove(AT_NOON)
    at.service.log.record(issuer)


def _only_eddsa(at: Scene) -> None:
    at.service.log.record(_replaced(at, algorithms=("EdDSA",)))


def _away(*paths: str) -> Callable[[Scene], None]:
    def apply(at: Scene) -> None:
        at.issuer.provider.away = set(paths)

    return apply


def _published(**members: Any) -> Callable[[Scene], None]:
    def apply(at: Scene) -> None:
        key = at.issuer.provider.keys[0]
        at.issuer.provider.keys = [
            {name: value for name, value in {**key, **members}.items() if value is not None}
        ]

    return apply


def _keys_elsewhere(at: Scene) -> None:
    at.issuer.provider.metadata["jwks_uri"] = "http://127.0.0.1:1/jwks"


def _another_issuers_metadata(at: Scene) -> None:
    at.issuer.provider.metadata["issuer"] = "https://other.example"


def _nested(depth: int) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": "a"}
    for _ in range(depth - 1):
        act = {"sub": "a", "act": act}
    return act


OTHER = SigningKey.make("ES256")
EDDSA = SigningKey.make("EdDSA")
ES384 = SigningKey.make("ES384")
TWICE = '{"iss": "%s", "sub": "gone", "sub": "alice", "aud": "%s", "exp": %d}'

REFUSALS = (
    Refusal("no JWT", lambda _: "token", reason="unreadable"),
    Refusal("two parts", lambda at: at.issuer.token().rpartition(".")[0], reason="unreadable"),
    Refusal("five parts", lambda at: at.issuer.token() + ".a.b", reason="unreadable"),
    Refusal("not base64", lambda _: "é.é.é", reason="unreadable"),
    Refusal("claims of another kind", lambda at: at.issuer.signed(at.issuer.header(), "[]")),
    Refusal("oversized", token(padding="x" * 20_000), reason="oversized"),
    Refusal("alg none", lambda at: at.issuer.unsigned(), reason="algorithm not allowed"),
    Refusal(
        "HS256 with the public key",
        lambda at: at.issuer.keyed_hash(),
        reason="algorithm not allowed",
    ),
    Refusal("alg off the terms", token(), reason="algorithm not allowed", setup=_only_eddsa),
    Refusal("alg off every list", token(key=ES384), reason="algorithm not allowed"),
    Refusal("alg of another kind", header(alg=7), reason="algorithm not allowed"),
    Refusal("another key by the same name", token(key=OTHER), reason="bad signature"),
    Refusal("a key of another algorithm", token(key=EDDSA), reason="no published key"),
    Refusal("tampered", lambda at: at.issuer.tampered(sub="gone"), reason="bad signature"),
    Refusal(
        "no signature",
        lambda at: at.issuer.token().rpartition(".")[0] + ".",
        reason="bad signature",
    ),
    Refusal("unknown kid", header(kid="key-2"), reason="no published key"),
    Refusal("no kid", header(kid=None), reason="no key named"),
    Refusal(
        "its own key in the header",
        lambda at: at.issuer.token(key=OTHER, header={"jwk": OTHER.published}),
        reason="bad signature",
    ),
    Refusal(
        "a key address in the header",
        lambda at: at.issuer.token(key=OTHER, header={"jku": "https://evil.example/jwks"}),
        reason="bad signature",
    ),
    Refusal("a critical header", header(crit=["exp"]), reason="critical"),
    Refusal(
        "a claim twice",
        lambda at: at.issuer.signed(
            at.issuer.header(), TWICE % (at.issuer.name, ISSUER, MADE_AT + 300)
        ),
        reason="twice",
    ),
    Refusal(
        "a header twice",
        lambda at: at.issuer.signed(at.issuer.header()[:-1] + ', "alg": "ES256"}'),
        reason="twice",
    ),
    Refusal(
        "a key for encryption", token(), reason="no published key", setup=_published(use="enc")
    ),
    Refusal(
        "a shared key published",
        token(),
        reason="no published key",
        setup=_published(kty="oct", k="c2VjcmV0", alg=None),
    ),
    Refusal("an ID token as access token", token(typ="JWT"), reason="not of the type"),
    Refusal("an access token as ID token", token(), reason="not of the type", kind=ID_TOKEN_TYPE),
    Refusal("a DPoP proof as JWT", token(typ="dpop+jwt"), reason="not of the type", kind=JWT_TYPE),
    Refusal(
        "an ID-JAG as JWT", token(typ="oauth-id-jag+jwt"), reason="not of the type", kind=JWT_TYPE
    ),
    Refusal("another issuer", token(iss="https://evil.example"), reason="unknown kid"),
    Refusal("no issuer", token(iss=None), reason="unknown kid"),
    Refusal(
        "an issuer spelled otherwise",
        lambda at: at.issuer.token(iss=at.issuer.name + "/"),
        reason="unknown kid",
    ),
    Refusal("our own issuer, foreign key", token(iss=ISSUER), reason="unknown kid"),
    Refusal("a removed issuer", token(), reason="unknown kid", setup=_remove),
    Refusal("another audience", token(aud=API), reason="not meant"),
    Refusal("no audience", token(aud=None), reason="not meant"),
    Refusal("an audience of another kind", token(aud={"a": ISSUER}), reason="not meant"),
    Refusal("expired", token(exp=MADE_AT), reason="expired"),
    Refusal("no end", token(exp=None), reason="expired"),
    Refusal("an end that is text", token(exp="tomorrow"), reason="impossible moment"),
    Refusal("an end that is true", token(exp=True), reason="impossible moment"),
    Refusal("an endless end", token(exp=float("inf")), reason="unreadable"),
    Refusal("an end beyond all calendars", token(exp=10**18), reason="impossible moment"),
    Refusal("future nbf", token(nbf=MADE_AT + 61), reason="nbf lies ahead"),
    Refusal("future iat", token(iat=MADE_AT + 61), reason="iat lies ahead"),
    Refusal("unknown person", token(sub="nobody"), reason="no active principal"),
    Refusal("deactivated person", token(sub="gone"), reason="no active principal"),
    Refusal("no subject", token(sub=None), reason="no subject"),
    Refusal("an empty subject", token(sub=""), reason="no subject"),
    Refusal("a subject of another kind", token(sub=["alice"]), reason="no subject"),
    Refusal("a subject with a slash", token(sub="alice/x"), reason="no usable subject"),
    Refusal("a subject with a line break", token(sub="alice\n"), reason="no usable subject"),
    Refusal("a scope of another kind", token(scope=["user"]), reason="no usable scope"),
    Refusal("an empty scope", token(scope=""), InvalidScope),
    Refusal("no scope, and no default", token(scope=None), InvalidScope),
    Refusal("a scope beyond the terms", token(scope="service"), InvalidScope),
    Refusal("a scope beyond the person", token(scope="admin"), InvalidScope),
    Refusal("an actor of another kind", token(act="portal"), reason="no usable act"),
    Refusal("an actor without a name", token(act={"client_id": "portal"}), reason="no usable act"),
    Refusal("six actors", token(act=_nested(6)), reason="no usable act"),
    Refusal("five actors, and the client", token(act=_nested(5)), InvalidRequest, "more than 5"),
    Refusal("may_act names another", token(may_act={"sub": "x"}), InvalidRequest, "mismatch"),
    Refusal("may_act names nobody", token(may_act={"sub": []}), InvalidRequest, "mismatch"),
    Refusal("may_act of another kind", token(may_act="agent"), InvalidRequest, "mismatch"),
    Refusal(
        "may_act of another issuer",
        token(may_act={"sub": "agent", "iss": "https://o.example"}),
        InvalidRequest,
        "mismatch",
    ),
    Refusal(
        "may_act by what we do not know",
        token(may_act={"sub": "agent", "email": "a@b"}),
        InvalidRequest,
        "mismatch",
    ),
    Refusal("keys away", token(), IssuerAway, "503", setup=_away("/jwks")),
    Refusal(
        "metadata away",
        token(),
        IssuerAway,
        setup=_away("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"),
    ),
    Refusal("keys on another host", token(), IssuerAway, "another host", setup=_keys_elsewhere),
    Refusal(
        "metadata of another issuer",
        token(),
        IssuerAway,
        "another issuer",
        setup=_another_issuers_metadata,
    ),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.description)
async def test_refuses(at: Scene, case: Refusal) -> None:
    """Each has its error and its true reason, and issues nothing."""
    case.setup(at)
    with pytest.raises(case.error) as refusal:
        await at.exchange(case.token(at), case.kind)

    assert case.reason in refusal.value.reason
    assert at.service.log.of(AccessToken.Issued) == []


async def test_may_act_that_names_the_client(at: Scene) -> None:
    """By `sub` alone or with our issuer, it acts."""
    for claim in ({"sub": "agent"}, {"sub": "agent", "iss": ISSUER}, {"sub": ["x", "agent"]}):
        assert (await at.exchange(at.issuer.token(may_act=claim)))["act"] == {"sub": "agent"}


async def test_a_foreign_actor_token_is_refused(at: Scene) -> None:
    """Nothing binds it to the client that brings it."""
    asked = Parameters(
        at.issuer.token(), ACCESS_TOKEN_TYPE, at.issuer.token(), JWT_TYPE, None, None, (API,)
    )
    with pytest.raises(UnusableToken):
        await token_exchange.handle(asked, authenticated(at.client), context(), at.service)
