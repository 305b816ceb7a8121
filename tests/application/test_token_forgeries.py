"""What is not a token of ours is refused, whoever made it and however close it comes."""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_decode, base64url_encode

from application.key_material import generate_private_key
from application.token_keys import TokenKeys, UnverifiableToken
from application.unverified_jwt import MAX_CHARACTERS
from tests.application.service import ISSUER, a_signing_key
from tests.application.test_token_keys import CLAIMS
from tests.builders import NOON

SIGNATURE_ERROR = "bad signature"


class Forger:
    """Knows our public keys, and in tests also signs with our private ones."""

    def __init__(self, private_keys: Mapping[str, PrivateKeyTypes]) -> None:
        self._private: Mapping[str, Any] = private_keys
        other = generate_private_key("ES256")
        known = [a_signing_key(private, name) for name, private in private_keys.items()]
        stranger = a_signing_key(other, "ES256", activated_at=None)
        self.kids = {key.algorithm: key.kid for key in known}
        self.other_kid = stranger.kid
        self.keys = TokenKeys(issuer=ISSUER, algorithms=("ES256",))
        self.keys.update([*known, stranger], {}, now=NOON)

    def token(self, *, key: str = "ES256", algorithm: str | None = None, **header: Any) -> str:
        """Return a token that our `key` signed; `header` replaces members, None takes them out."""
        return self.signed(CLAIMS, key=key, algorithm=algorithm, **header)

    def signed(
        self,
        claims: Mapping[str, Any],
        *,
        key: str = "ES256",
        algorithm: str | None = None,
        **header: Any,
    ) -> str:
        """Return `claims` signed with our `key` by `algorithm`, its own unless given."""
        members = {"typ": "at+jwt", "kid": self.kids[key], **header}
        return jwt.encode(
            dict(claims), self._private[key], algorithm or key, headers=_present(members)
        )

    def keyed_hash(self, secret: bytes) -> str:
        """Return a token whose "signature" is an HS256 under what everybody knows."""
        header = {"alg": "HS256", "typ": "at+jwt", "kid": self.kids["RS256"]}
        signing_input = f"{_segment(header)}.{_segment(CLAIMS)}"
        digest = hmac.digest(secret, signing_input.encode(), "sha256")
        return f"{signing_input}.{base64url_encode(digest).decode()}"

    def public_pem(self, key: str) -> bytes:
        """Return a public key as anybody would write it to a file."""
        public = self._private[key].public_key()
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def unsigned(self) -> str:
        """Return a token with `alg` none and no signature (RFC 7519, Section 6)."""
        header = {"alg": "none", "typ": "at+jwt", "kid": self.kids["ES256"]}
        return f"{_segment(header)}.{_segment(CLAIMS)}."

    def tampered(self, **claims: Any) -> str:
        """Return a token whose payload was changed after the signature."""
        header, _, signature = self.token().split(".")
        return f"{header}.{_segment({**CLAIMS, **claims})}.{signature}"


@pytest.fixture(scope="session")
def forger(private_keys: Mapping[str, PrivateKeyTypes]) -> Forger:
    """Somebody who tries."""
    return Forger(private_keys)


@dataclass(frozen=True)
class Forgery:
    """A string that is no token of ours, and the reason that the record gets."""

    description: str
    make: Callable[[Forger], str]
    reason: str


FORGERIES = (
    Forgery("nothing", lambda _: "", "unreadable JWT"),
    Forgery("one word", lambda _: "token", "unreadable JWT"),
    Forgery("lone surrogate", lambda _: "\ud800.\ud800.\ud800", "unreadable JWT"),
    Forgery("deep nesting", lambda _: _encoded(b"[" * 12_000) + ".e30.", "unreadable JWT"),
    Forgery(
        "endless number", lambda _: _encoded(b'{"a":' + b"9" * 6000) + ".e30.", "unreadable JWT"
    ),
    Forgery("alg none", Forger.unsigned, "algorithm is not the key's"),
    Forgery("alg none, signed", lambda f: _with_alg(f, "none"), "algorithm is not the key's"),
    Forgery("alg in a list", lambda f: _with_alg(f, ["ES256"]), "algorithm is not the key's"),
    Forgery(
        "HS256 under the public key",
        lambda f: f.keyed_hash(f.public_pem("RS256")),
        "algorithm is not the key's",
    ),
    Forgery(
        "PS256 with a key for RS256",
        lambda f: f.token(key="RS256", algorithm="PS256"),
        "algorithm is not the key's",
    ),
    Forgery("no kid", lambda f: f.token(kid=None), "unknown kid"),
    Forgery("unknown kid", lambda f: f.token(kid="elsewhere"), "unknown kid"),
    Forgery("kid of another key of ours", lambda f: f.token(kid=f.other_kid), SIGNATURE_ERROR),
    Forgery("typ of an ID token", lambda f: f.token(typ="JWT"), "not an access token"),
    Forgery("typ of a proof", lambda f: f.token(typ="dpop+jwt"), "not an access token"),
    Forgery("no typ", lambda f: f.token(typ=""), "not an access token"),
    Forgery(
        "another issuer",
        lambda f: f.signed({**CLAIMS, "iss": f"{ISSUER}/"}),
        "another issuer",
    ),
    Forgery("another subject", lambda f: f.tampered(sub="owner-2"), SIGNATURE_ERROR),
    Forgery("a longer life", lambda f: f.tampered(exp=2**40), SIGNATURE_ERROR),
    Forgery("signature taken off", lambda f: f.token().rpartition(".")[0] + ".", SIGNATURE_ERROR),
    Forgery("half a signature", lambda f: f.token()[:-46], SIGNATURE_ERROR),
    Forgery(
        "oversized",
        lambda f: f.signed({**CLAIMS, "pad": "x" * 13_000}),
        "no JWT, or an oversized one",
    ),
)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.description)
def test_refuses(forger: Forger, forgery: Forgery) -> None:
    """A forged or foreign string is UnverifiableToken, with a reason that repeats none of it."""
    with pytest.raises(UnverifiableToken) as refusal:
        forger.keys.verify(forgery.make(forger))

    assert str(refusal.value) == forgery.reason


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"])
def test_refuses_a_missing_claim(forger: Forger, missing: str) -> None:
    """A claim that every token of ours has may not be absent, even under a good signature."""
    claims = {name: value for name, value in CLAIMS.items() if name != missing}
    with pytest.raises(UnverifiableToken) as refusal:
        forger.keys.verify(forger.signed(claims))

    assert str(refusal.value) == f"claims missing: {missing}"


def test_the_forger_can_do_it_right(forger: Forger) -> None:
    """The same tools without the mistake make a token that verifies, so that the refusals above
    are for their reasons; `typ` is read whatever its case (RFC 7515, Section 4.1.9).
    """
    for token in (forger.token(), forger.token(typ="AT+JWT"), forger.token(key="RS256")):
        assert forger.keys.verify(token).claims == CLAIMS


def test_takes_a_token_of_the_size_limit(forger: Forger) -> None:
    """The limit itself is not over the limit."""
    short = len(forger.signed({**CLAIMS, "pad": ""}))
    pad = (MAX_CHARACTERS - short) * 3 // 4 - 3
    sizes = {}
    for length in range(pad, pad + 8):
        token = forger.signed({**CLAIMS, "pad": "x" * length})
        sizes[len(token)] = _verifies(forger, token)

    assert {size: size <= MAX_CHARACTERS for size in sizes} == sizes
    assert set(sizes.values()) == {True, False}


def test_refuses_every_truncation(forger: Forger) -> None:
    """However much of its end a token has lost, it does not verify."""
    token = forger.token()

    assert [end for end in range(len(token)) if _verifies(forger, token[:end])] == []


CHARACTERS = st.sampled_from(".-_=aZ09") | st.characters() | st.sampled_from("\ud800\udfff")


@given(text=st.lists(CHARACTERS, max_size=200).map("".join))
def test_arbitrary_text_is_unverifiable(forger: Forger, text: str) -> None:
    """Text of any kind, lone surrogates too, raises UnverifiableToken and nothing else."""
    assert not _verifies(forger, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(data=st.data())
def test_arbitrary_headers_are_unverifiable(forger: Forger, data: st.DataObject) -> None:
    """Whatever JSON stands in header and payload, also beside a good alg, typ and kid, raises
    UnverifiableToken and nothing else.
    """
    good = {"alg": "ES256", "typ": "at+jwt", "kid": forger.kids["ES256"]}
    names = st.sampled_from(("alg", "typ", "kid", "crit", "b64", "jwk", "x5c"))
    header = data.draw(JSON | st.dictionaries(names, JSON).map(lambda odd: {**good, **odd}))
    payload = data.draw(JSON | st.dictionaries(st.sampled_from(tuple(CLAIMS)), JSON))
    signature = base64url_encode(data.draw(st.binary(max_size=80))).decode()

    assert not _verifies(forger, f"{_segment(header)}.{_segment(payload)}.{signature}")


@given(data=st.data())
def test_every_changed_character_counts(forger: Forger, data: st.DataObject) -> None:
    """A token with one character of its header or payload changed does not verify."""
    token = forger.token()
    signed = token.rpartition(".")[0]
    place = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[place]))

    assert not _verifies(forger, token[:place] + other + token[place + 1 :])


def _verifies(forger: Forger, token: str) -> bool:
    try:
        forger.keys.verify(token)
    except UnverifiableToken:
        return False
    return True


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _encoded(raw: bytes) -> str:
    return base64url_encode(raw).decode()


def _segment(value: Any) -> str:
    return _encoded(json.dumps(value).encode())


def _with_alg(forger: Forger, algorithm: Any) -> str:
    header, payload, signature = forger.token().split(".")
    members = {**json.loads(base64url_decode(header)), "alg": algorithm}
    return f"{_segment(members)}.{payload}.{signature}"
