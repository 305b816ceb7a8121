"""What an upstream provider sends back is believed only if all of it is right."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import jwt
import pytest

from application.people.upstream import UpstreamRefused
from tests.application.people.upstream_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    SUBJECT,
    SigningKey,
)
from tests.application.people.upstream_scene import NOW, Scene, scene
from tests.postgres import Postgres


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> Iterator[str]:
    """One database for all: each login has a state of its own."""
    with postgres.database() as url:
        yield url


def claims(**changes: Any) -> Callable[[Scene], None]:
    """Return a setup in which the ID token has these claims; None takes one away."""

    def change(at: Scene) -> None:
        at.provider.claims = lambda issued: {
            name: value for name, value in {**issued, **changes}.items() if value is not None
        }

    return change


def back(**changes: str | None) -> Callable[[Scene], None]:
    """Return a setup in which the browser comes back with these; None takes one away."""

    def change(at: Scene) -> None:
        at.parameters = lambda given: {
            name: value for name, value in {**given, **changes}.items() if value is not None
        }

    return change


def answers(**changes: Any) -> Callable[[Scene], None]:
    """Return a setup in which the token endpoint answers so."""

    def change(at: Scene) -> None:
        at.provider.answer = lambda answer: {**answer, **changes}

    return change


def discovery(**changes: Any) -> Callable[[Scene], None]:
    """Return a setup in which the discovery document says so."""
    return lambda at: at.provider.metadata.update(changes)


def set_to(**changes: Any) -> Callable[[Scene], None]:
    """Return a setup with other members of the provider."""

    def change(at: Scene) -> None:
        for name, value in changes.items():
            setattr(at.provider, name, value)

    return change


def another_browser(at: Scene) -> None:
    """The answer comes by another browser."""
    at.browser = "browser-2"


def forged(algorithm: str, key: Any) -> Callable[[Scene], None]:
    """Return a setup in which somebody without the provider's key makes the ID token."""

    def change(at: Scene) -> None:
        def answer(issued: dict[str, Any]) -> dict[str, Any]:
            read = jwt.decode(issued["id_token"], options={"verify_signature": False})
            token = jwt.encode(read, key, algorithm=algorithm, headers={"kid": "key-1"})
            return {**issued, "id_token": token}

        at.provider.answer = answer

    return change


def other_algorithm(at: Scene) -> None:
    """The provider signs by an algorithm that is not on the list, and publishes its key."""
    at.provider.key = SigningKey.make("ES384")
    at.provider.keys = [at.provider.key.published]


def key_says(**changes: Any) -> Callable[[Scene], None]:
    """Return a setup in which the published key says otherwise of itself."""
    return lambda at: at.provider.key.published.update(changes)


def tampered(at: Scene) -> None:
    """The claims differ from what was signed."""

    def answer(issued: dict[str, Any]) -> dict[str, Any]:
        head, payload, signature = issued["id_token"].split(".")
        claims = urlsafe_b64decode(payload + "==").replace(b'"sub":"', b'"sub":"x')
        other = urlsafe_b64encode(claims).rstrip(b"=").decode()
        assert other != payload
        return {**issued, "id_token": f"{head}.{other}.{signature}"}

    at.provider.answer = answer


# OpenID Connect Core 1.0, Section 3.1.3.6, of the access token "at" under ES256.
AT_HASH = urlsafe_b64encode(sha256(b"at").digest()[:16]).rstrip(b"=").decode()
SECOND = int(NOW.timestamp())
BAD_SIGNATURE = "ID token: bad signature"
NO_KEY = "ID token: signed by no published key"
NOT_ALLOWED = "ID token: algorithm not allowed"
OTHER_KEY = SigningKey.make("ES256")
REFUSALS: tuple[tuple[str, Callable[[Scene], None], str], ...] = (
    ("no state", back(state=None), "state unknown"),
    ("unknown state", back(state="x" * 43), "state unknown"),
    ("another browser", another_browser, "state of another browser"),
    ("no iss though announced", back(iss=None), "iss missing"),
    ("another iss", back(iss="https://other.example"), "iss of another provider"),
    ("another iss with an error", back(iss="https://o.example", error="x"), "iss of another"),
    ("an error", back(error="access_denied"), "the provider answers access_denied"),
    ("a strange error", back(error="<script>"), "the provider answers an error"),
    ("no code", back(code=None), "no code"),
    ("an empty code", back(code=""), "no code"),
    ("an unknown code", back(code="guessed"), "status 400"),
    ("token endpoint away", set_to(away={"/token"}), "status 503"),
    ("keys away", set_to(away={"/jwks"}), "status 503"),
    ("discovery away", set_to(away={"/.well-known/openid-configuration"}), "status 503"),
    ("another issuer in discovery", discovery(issuer="https://o.example"), "another issuer"),
    ("no issuer in discovery", discovery(issuer=None), "discovery: "),
    ("keys elsewhere", discovery(jwks_uri="https://o.example/"), "lies on another host"),
    ("keys in a file", discovery(jwks_uri="file:///etc/passwd"), "no plain https URL"),
    ("tokens elsewhere", discovery(token_endpoint="http://127.0.0.1:1/"), "lies on another host"),
    ("login elsewhere", discovery(authorization_endpoint="https://o.example/"), "lies elsewhere"),
    ("login is a script", discovery(authorization_endpoint="javascript:1"), "lies elsewhere"),
    ("keys are no set", set_to(keys="none"), "discovery: "),
    ("more keys than anybody has", set_to(keys=[{}] * 101), "length <= 100"),
    ("no keys", set_to(keys=[]), NO_KEY),
    ("no ID token", answers(id_token=None), "no JWT, or an oversized one"),
    ("an ID token of another kind", answers(id_token=["x"]), "no JWT, or an oversized one"),
    ("an endless ID token", answers(id_token="x" * 20_000), "no JWT, or an oversized one"),
    ("an unreadable ID token", answers(id_token="a.b.c"), "unreadable JWT"),
    ("alg none", forged("none", None), NOT_ALLOWED),
    ("alg HS256 with our secret", forged("HS256", CLIENT_SECRET.ljust(32)), NOT_ALLOWED),
    ("alg off the list", other_algorithm, NOT_ALLOWED),
    ("another key by the same name", forged("ES256", OTHER_KEY.private), BAD_SIGNATURE),
    ("tampered claims", tampered, BAD_SIGNATURE),
    ("an unknown kid", set_to(header={"kid": "key-2"}), NO_KEY),
    ("a key for encryption", key_says(use="enc"), NO_KEY),
    ("a key for another algorithm", key_says(alg="RS256"), NO_KEY),
    ("a key of another kind", key_says(kty="oct", k="c2VjcmV0"), NO_KEY),
    ("another iss in the token", claims(iss="https://o.example"), "invalid_claim iss"),
    ("no iss in the token", claims(iss=None), "missing_claim iss"),
    ("another audience", claims(aud="other"), "invalid_claim aud"),
    ("other audiences", claims(aud=["other", "third"]), "invalid_claim aud"),
    ("no audience", claims(aud=None), "missing_claim aud"),
    ("an audience of another kind", claims(aud={"a": 1}), "invalid_claim aud"),
    ("several audiences, no azp", claims(aud=[CLIENT_ID, "other"]), "missing_claim azp"),
    ("another azp", claims(aud=[CLIENT_ID, "other"], azp="other"), "invalid_claim azp"),
    ("another azp of one audience", claims(azp="other"), "invalid_claim azp"),
    ("expired", claims(exp=SECOND - 60), "expired_token"),
    ("no exp", claims(exp=None), "missing_claim exp"),
    ("exp of another kind", claims(exp="tomorrow"), "invalid_claim exp"),
    ("from the future", claims(iat=SECOND + 61), "invalid_claim iat"),
    ("no iat", claims(iat=None), "missing_claim iat"),
    ("not yet valid", claims(nbf=SECOND + 61), "invalid_claim nbf"),
    ("another nonce", claims(nonce="another"), "invalid_claim nonce"),
    ("no nonce", claims(nonce=None), "missing_claim nonce"),
    ("of another access token", claims(at_hash="AAAA"), "invalid_claim at_hash"),
    ("no subject", claims(sub=None), "missing_claim sub"),
    ("an empty subject", claims(sub=""), "unusable sub"),
    ("an endless subject", claims(sub="a" * 256), "unusable sub"),
    ("a subject that is no ASCII", claims(sub="älice"), "unusable sub"),
    ("a subject of two lines", claims(sub="a\nb"), "unusable sub"),
    ("a login in the future", claims(auth_time=SECOND + 61), "impossible auth_time"),
    ("a login of another kind", claims(auth_time=True), "impossible auth_time"),
    ("a login before time", claims(auth_time=-1), "impossible auth_time"),
)


@pytest.mark.parametrize(
    ("setup", "reason"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
async def test_refuses(database_url: str, setup: Callable[[Scene], None], reason: str) -> None:
    """Whatever is wrong with what comes back, nobody is logged in, and the record says why without
    quoting our secret.
    """
    async with scene(database_url) as at:
        setup(at)
        with pytest.raises(UpstreamRefused) as refusal:
            await at.login()

        assert reason in refusal.value.reason
        assert CLIENT_SECRET not in refusal.value.reason


ACCEPTED: tuple[tuple[str, Callable[[Scene], None]], ...] = (
    ("one of several audiences with azp", claims(aud=[CLIENT_ID, "other"], azp=CLIENT_ID)),
    ("an audience in a list", claims(aud=[CLIENT_ID])),
    ("a clock that is a minute ahead", claims(iat=SECOND + 60)),
    ("just not expired", claims(exp=SECOND - 59)),
    ("no kid and one key", set_to(header={"kid": None})),
    ("a key that says little of itself", lambda at: at.provider.key.published.pop("alg")),
    ("the hash of the access token", claims(at_hash=AT_HASH)),
)


@pytest.mark.parametrize("setup", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
async def test_accepts(database_url: str, setup: Callable[[Scene], None]) -> None:
    """What the rules allow is not refused."""
    async with scene(database_url) as at:
        setup(at)

        assert (await at.login()).subject == SUBJECT
