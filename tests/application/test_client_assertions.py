"""private_key_jwt: a client proves who it is by a key, each proof once; and every way to fail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.client_credentials_header import presented_credentials
from api.forms import Form
from application.client_assertions import ClientAssertions
from application.client_authentication import AuthenticatedClient, authenticate
from application.errors import InvalidClient, InvalidRequest, OAuthError
from application.outbound import Outbound
from domain.client import Client
from domain.client_configuration import Authentication
from tests.application.fakes import MemoryNames
from tests.application.foreign_issuer import MADE_AT, ForeignIssuer, foreign_issuer
from tests.application.people.upstream_provider import SigningKey
from tests.application.service import ISSUER, FakeService
from tests.builders import AT_NOON, NOON, a_client

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ENDPOINT = f"{ISSUER}/oauth/token"


@dataclass
class Scene:
    """A client "agent" with a key; the key is also published, as an issuer publishes its own."""

    service: FakeService
    issuer: ForeignIssuer
    names: MemoryNames = field(default_factory=MemoryNames)
    audiences: tuple[str, ...] = (ISSUER,)

    def __post_init__(self) -> None:
        self.replicas = [
            ClientAssertions(
                self.service.directory, Outbound(), self.names, audiences=self.audiences
            )
            for _ in range(2)
        ]

    def register(self, **authentication: Any) -> None:
        """Register the client, by its published keys unless told otherwise."""
        facts = {
            "method": "private_key_jwt",
            "jwks": tuple(self.issuer.provider.keys),
            **authentication,
        }
        self.service.log.record(a_client(client_id="agent", authentication=Authentication(**facts)))

    def assertion(self, typ: str | None = None, **changes: Any) -> str:
        """Return a good assertion, but for `changes`."""
        facts = {"iss": "agent", "sub": "agent", "scope": None, "jti": "proof-1", **changes}
        return self.issuer.token(typ, **facts)

    async def prove(
        self, assertion: str, *, replica: int = 0, now: datetime = NOON, **form: str
    ) -> AuthenticatedClient:
        """Present an assertion."""
        sent = {"client_assertion": assertion, "client_assertion_type": KIND, **form}
        presented = presented_credentials(None, a_form(sent))
        assert presented is not None
        assert presented.assertion is not None
        return await self.replicas[replica].authenticate(presented, presented.assertion, now)


def a_form(values: dict[str, str]) -> Form:
    """Return a form with these parameters."""
    return Form({name: (value,) for name, value in values.items()})


@pytest.fixture
def at(service: FakeService) -> Iterator[Scene]:
    """A scene at noon, the client not registered yet."""
    with foreign_issuer() as issuer:
        yield Scene(service, issuer)


@pytest.mark.parametrize("typ", [None, "JWT", "client-authentication+jwt"])
async def test_a_key_proves_the_client(at: Scene, typ: str | None) -> None:
    """The record will name method and key."""
    at.register()
    caller = await at.prove(at.assertion(typ), client_id="agent")

    assert (caller.client.client_id, caller.method) == ("agent", "private_key_jwt")
    assert caller.credential_id == "key-1"


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS256"])
async def test_algorithms(at: Scene, algorithm: str) -> None:
    """Each of the list."""
    key = SigningKey.make(algorithm, "another")
    at.register(jwks=(key.published,))

    assert (await at.prove(at.assertion(key=key))).credential_id == "another"


async def test_keys_may_be_published(at: Scene) -> None:
    """At a URL of the client; a rotated key is found, another URL is asked at once."""
    uri = f"{at.issuer.name}/jwks"
    at.register(jwks=(), jwks_uri=uri)
    await at.prove(at.assertion())
    fresh = SigningKey.make("ES256", "key-2")
    at.issuer.provider.keys.append(fresh.published)
    later = NOON + timedelta(minutes=1)
    end = MADE_AT + 120
    caller = await at.prove(at.assertion(key=fresh, jti="2", exp=end), now=later)

    assert caller.credential_id == "key-2"
    assert at.issuer.provider.requests["/jwks"] == 2


async def test_a_proof_is_good_once(at: Scene) -> None:
    """On whatever replica, until it has ended; another client's proof of that name is another."""
    at.register()
    await at.prove(at.assertion())
    for replica in (0, 1):
        with pytest.raises(InvalidClient) as refusal:
            await at.prove(at.assertion(), replica=replica)
        assert refusal.value.reason == "assertion used before"
    other = Authentication(method="private_key_jwt", jwks=tuple(at.issuer.provider.keys))
    at.service.log.record(a_client(client_id="other", authentication=other))

    callers = [
        await at.prove(at.assertion(iss="other", sub="other")),
        await at.prove(at.assertion(jti="proof-2")),
    ]

    assert [caller.client.client_id for caller in callers] == ["other", "agent"]


async def test_the_token_endpoint_as_audience_by_setting(service: FakeService) -> None:
    """Where the deployment says so, and nothing else beside it."""
    with foreign_issuer() as issuer:
        strict, lenient = (
            Scene(service, issuer),
            Scene(service, issuer, MemoryNames(), (ISSUER, ENDPOINT)),
        )
        strict.register()
        with pytest.raises(InvalidClient):
            await strict.prove(strict.assertion(aud=ENDPOINT))

        caller = await lenient.prove(lenient.assertion(aud=[ISSUER, ENDPOINT]))

    assert caller.client.client_id == "agent"


@dataclass(frozen=True)
class Refusal:
    """What is wrong, how the assertion comes about, and what is answered."""

    description: str
    assertion: Callable[[Scene], str]
    reason: str
    setup: Callable[[Scene], object] = field(default=lambda at: at.register())


def saying(typ: str | None = None, **changes: Any) -> Callable[[Scene], str]:
    """Return how an assertion comes about."""
    return lambda at: at.assertion(typ, **changes)


def _disabled(at: Scene) -> None:
    at.register()
    client = at.service.log.folded(Client.stream("agent"))
    client.disable(AT_NOON)
    at.service.log.record(client)


def _away(at: Scene) -> None:
    at.register(jwks=(), jwks_uri=f"{at.issuer.name}/jwks")
    at.issuer.provider.away = {"/jwks"}


OTHER = SigningKey.make("ES256")
ES384 = SigningKey.make("ES384")
REFUSALS = (
    Refusal("no JWT", lambda _: "x", "unreadable"),
    Refusal("no subject", saying(sub=None), "without a subject"),
    Refusal("unknown client", saying(sub="nobody", iss="nobody"), "unknown client"),
    Refusal(
        "registered for a secret", saying(), "method", lambda at: at.register(method=None, jwks=())
    ),
    Refusal("another issuer", saying(iss="https://id.example"), "iss is not the client"),
    Refusal("no issuer", saying(iss=None), "iss is not the client"),
    Refusal("an access token", saying("at+jwt"), "by its type"),
    Refusal("a DPoP proof", saying("dpop+jwt"), "by its type"),
    Refusal("an ID-JAG", saying("oauth-id-jag+jwt"), "by its type"),
    Refusal(
        "alg none",
        lambda at: at.issuer.signed('{"alg": "none"}', '{"iss": "agent", "sub": "agent"}'),
        "algorithm not allowed",
    ),
    Refusal(
        "alg HS256",
        lambda at: at.issuer.signed(
            '{"alg": "HS256", "kid": "key-1"}', '{"iss": "agent", "sub": "agent"}'
        ),
        "algorithm not allowed",
    ),
    Refusal("alg off the list", saying(key=ES384), "algorithm not allowed"),
    Refusal("another key by that name", saying(key=OTHER), "bad signature"),
    Refusal("unknown kid", saying(header={"kid": "key-2"}), "no published key"),
    Refusal(
        "its own key in the header",
        saying(key=OTHER, header={"jwk": OTHER.published}),
        "bad signature",
    ),
    Refusal("critical header", saying(header={"crit": ["b64"]}), "critical"),
    Refusal("another audience", saying(aud="https://other.example"), "not meant"),
    Refusal("the token endpoint", saying(aud=ENDPOINT), "not meant"),
    Refusal("several audiences", saying(aud=[ISSUER, "https://other.example"]), "not meant"),
    Refusal("no audience", saying(aud=None), "not meant"),
    Refusal("an empty list of audiences", saying(aud=[]), "not meant"),
    Refusal("an audience of another kind", saying(aud=[{"a": 1}]), "not meant"),
    Refusal("expired", saying(exp=MADE_AT), "expired"),
    Refusal("no end", saying(exp=None), "expired"),
    Refusal("an end that is none", saying(exp="soon"), "impossible moment"),
    Refusal("ends too late", saying(exp=MADE_AT + 361), "too far"),
    Refusal("begins later", saying(nbf=MADE_AT + 61), "nbf lies ahead"),
    Refusal("issued later", saying(iat=MADE_AT + 61), "iat lies ahead"),
    Refusal("no jti", saying(jti=None), "without jti"),
    Refusal("a jti of another kind", saying(jti=7), "without jti"),
    Refusal("disabled client", saying(), "client disabled", _disabled),
    Refusal("keys away", saying(), "keys: ", _away),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.description)
async def test_refuses(at: Scene, case: Refusal) -> None:
    """One text for all, the true reason for the record; and no name is used up."""
    case.setup(at)
    with pytest.raises(InvalidClient) as refusal:
        await at.prove(case.assertion(at))

    assert case.reason in refusal.value.reason
    assert refusal.value.description == "client authentication failed"
    assert at.names.kept == {}


@pytest.mark.parametrize(
    ("header", "form", "error"),
    [
        (b"Basic YTpi", {}, InvalidRequest),
        (None, {"client_secret": "x"}, InvalidRequest),
        (None, {"client_id": "other"}, InvalidRequest),
        (None, {"client_assertion_type": "urn:x"}, InvalidRequest),
        (None, {"client_assertion": ""}, InvalidRequest),
        (None, {"client_assertion": "x"}, InvalidClient),
    ],
)
def test_several_methods_at_once(
    header: bytes | None, form: dict[str, str], error: type[OAuthError]
) -> None:
    """Or half of one."""
    good = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.AA"
    sent = {"client_assertion": good, "client_assertion_type": KIND, **form}
    with pytest.raises(error):
        presented_credentials(header, a_form({name: v for name, v in sent.items() if v}))


@pytest.mark.parametrize("method", ["client_secret_post", "private_key_jwt"])
def test_a_client_has_one_method(at: Scene, method: str) -> None:
    """Its secret by another way, or beside its key, proves nothing; without a name any way does."""
    jwks = tuple(at.issuer.provider.keys) if method == "private_key_jwt" else ()
    at.register(method=method, jwks=jwks)
    presented = presented_credentials(b"Basic YWdlbnQ6c2VjcmV0", a_form({}))
    with pytest.raises(InvalidClient) as refusal:
        authenticate(
            presented, directory=at.service.directory, peppers=at.service.peppers, now=NOON
        )

    assert refusal.value.reason == "not the client's authentication method"


@pytest.mark.parametrize(
    "facts",
    [
        {"method": "private_key_jwt"},
        {"method": "client_secret_basic", "jwks_uri": "https://a.example/jwks"},
        {"method": "private_key_jwt", "jwks_uri": "http://a.example/jwks"},
        {"method": "private_key_jwt", "jwks": [{"kty": "EC"}]},
        {"method": "private_key_jwt", "jwks": [{"kty": "oct", "kid": "1", "k": "eA"}]},
        {"method": "private_key_jwt", "jwks": [{"kty": "EC", "kid": "1", "d": "eA"}]},
        {"method": "private_key_jwt", "jwks": [{"kty": "EC", "kid": "1"}] * 2},
        {
            "method": "private_key_jwt",
            "jwks": [{"kty": "EC", "kid": "1"}],
            "jwks_uri": "https://a.example/jwks",
        },
        {"method": "none"},
    ],
)
def test_configurations_that_are_refused(facts: dict[str, Any]) -> None:
    """Keys without the method, the method without keys, and keys that are no public ones."""
    with pytest.raises(ValueError, match="Authentication"):
        Authentication.model_validate(facts)
