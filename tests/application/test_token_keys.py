"""The keys of a process: which one signs, which ones verify, and until when."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from application.errors import TemporarilyUnavailable
from application.key_material import generate_private_key
from application.token_keys import TokenKeys, UnverifiableToken
from domain.client_configuration import SIGNING_ALGORITHMS
from domain.issuance import SigningChoice
from domain.provenance import Provenance
from tests.application.service import ISSUER, a_signing_key, token_keys
from tests.builders import NOON

PrivateKeys = Mapping[str, PrivateKeyTypes]

CLAIMS = {
    "iss": ISSUER,
    "sub": "owner-1",
    "aud": "https://api.example",
    "exp": int(NOON.timestamp()) + 3600,
    "iat": int(NOON.timestamp()),
    "jti": "019cb3e5-4400-7000-8000-000000000001",
    "client_id": "reporter",
    "scope": "service mcp",
}


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
def test_signs_and_verifies(private_keys: PrivateKeys, algorithm: str) -> None:
    """What a key of each algorithm signs, the same keys verify, and the claims come back whole."""
    keys = token_keys(private_keys, algorithm)

    verified = keys.verify(keys.sign(CLAIMS, keys.choose(None)))

    assert verified.claims == CLAIMS
    assert verified.token_id == CLAIMS["jti"]
    assert verified.client_id == "reporter"
    assert verified.audience == ("https://api.example",)
    assert verified.scope == ("service", "mcp")
    assert verified.expires_at == CLAIMS["exp"]


def test_reads_several_audiences_and_no_scope(private_keys: PrivateKeys) -> None:
    """`aud` may be a list (RFC 7519, Section 4.1.3), and a token without scope has none."""
    keys = token_keys(private_keys, "ES256")
    claims = {name: value for name, value in CLAIMS.items() if name != "scope"}

    verified = keys.verify(keys.sign({**claims, "aud": ["a", "b"]}, keys.choose(None)))

    assert verified.audience == ("a", "b")
    assert verified.scope == ()


def test_a_token_expires_at_its_second(private_keys: PrivateKeys) -> None:
    """An expired token still verifies, and counts as expired from the moment `exp` on."""
    keys = token_keys(private_keys, "ES256")
    verified = keys.verify(keys.sign(CLAIMS, keys.choose(None)))
    end = NOON + timedelta(hours=1)

    assert not verified.expired(end - timedelta(microseconds=1))
    assert verified.expired(end)


def test_chooses_by_algorithm(private_keys: PrivateKeys) -> None:
    """A client's algorithm has its key, and the deployment's first stands in where it has none."""
    keys = token_keys(private_keys, "EdDSA", "ES256")

    chosen = [keys.choose(algorithm).algorithm for algorithm in (None, "EdDSA", "ES256")]

    assert chosen == ["EdDSA", "EdDSA", "ES256"]
    assert keys.ready


def test_is_not_ready_without_a_key_of_each_algorithm(private_keys: PrivateKeys) -> None:
    """One algorithm without an active key is enough not to be ready, and that one is refused."""
    key = a_signing_key(private_keys["ES256"], "ES256")
    keys = TokenKeys(issuer=ISSUER, algorithms=("ES256", "EdDSA"))
    keys.update([key], {key.kid: private_keys["ES256"]}, now=NOON)
    with pytest.raises(TemporarilyUnavailable) as raised:
        keys.choose("EdDSA")

    assert raised.value.reason == "no active EdDSA key"
    assert keys.choose("ES256") == SigningChoice(key.kid, "ES256")
    assert not keys.ready


def test_does_not_sign_without_the_private_half(private_keys: PrivateKeys) -> None:
    """A key whose private half this process does not hold verifies and does not sign."""
    signing = token_keys(private_keys, "ES256")
    token = signing.sign(CLAIMS, signing.choose(None))
    keys = TokenKeys(issuer=ISSUER, algorithms=("ES256",))

    keys.update([a_signing_key(private_keys["ES256"], "ES256")], {}, now=NOON)

    assert keys.verify(token).claims == CLAIMS
    assert not keys.ready


def test_a_key_that_is_only_published_does_not_sign(private_keys: PrivateKeys) -> None:
    """A generated key is known to verifiers before it signs anything."""
    private = private_keys["ES256"]
    key = a_signing_key(private, "ES256", activated_at=None)
    signing = token_keys(private_keys, "ES256")
    token = signing.sign(CLAIMS, signing.choose(None))
    keys = TokenKeys(issuer=ISSUER, algorithms=("ES256",))

    keys.update([key], {key.kid: private}, now=NOON)

    assert not keys.ready
    assert keys.verify(token).claims == CLAIMS


def test_the_newest_active_key_signs(private_keys: PrivateKeys) -> None:
    """With two active keys of an algorithm the one that was activated last signs, in whatever
    order they are given.
    """
    privates = [private_keys["ES256"], generate_private_key("ES256")]
    older, newer = (
        a_signing_key(private, "ES256", activated_at=NOON + timedelta(minutes=minute))
        for minute, private in enumerate(privates)
    )
    halves = {older.kid: privates[0], newer.kid: privates[1]}
    keys = TokenKeys(issuer=ISSUER, algorithms=("ES256",))

    for known in ([older, newer], [newer, older]):
        keys.update(known, halves, now=NOON)

        assert keys.choose(None).kid == newer.kid


def test_a_retired_key_verifies_until_its_end(private_keys: PrivateKeys) -> None:
    """What a key signed before it was retired verifies until `verify_until` and no longer, and
    from the retirement on it signs nothing.
    """
    private, end = private_keys["ES256"], NOON + timedelta(hours=25)
    key = a_signing_key(private, "ES256")
    keys = TokenKeys(issuer=ISSUER, algorithms=("ES256",))
    keys.update([key], {key.kid: private}, now=NOON)
    choice = keys.choose(None)
    token = keys.sign(CLAIMS, choice)
    key.retire(verify_until=end, provenance=Provenance(NOON, "req_2"))

    keys.update([key], {key.kid: private}, now=end - timedelta(microseconds=1))

    assert keys.verify(token).claims == CLAIMS
    with pytest.raises(TemporarilyUnavailable):
        keys.sign(CLAIMS, choice)

    keys.update([key], {key.kid: private}, now=end)

    with pytest.raises(UnverifiableToken, match=r"^unknown kid$"):
        keys.verify(token)


def test_what_was_verified_is_known(private_keys: PrivateKeys) -> None:
    """A token that was verified is not verified again, and a change of one byte is another one."""
    keys = token_keys(private_keys, "ES256")
    token = keys.sign(CLAIMS, keys.choose(None))
    damaged = f"{token[:-9]}{'A' if token[-9] != 'A' else 'B'}{token[-8:]}"

    assert keys.verify(token) is keys.verify(token)
    for _ in range(2):
        with pytest.raises(UnverifiableToken, match="bad signature"):
            keys.verify(damaged)


def test_a_key_that_is_gone_vouches_for_nothing(private_keys: PrivateKeys) -> None:
    """A token that was verified under a key is unknown as soon as the key is published no more."""
    keys = token_keys(private_keys, "ES256")
    token = keys.sign(CLAIMS, keys.choose(None))
    keys.verify(token)
    keys.update((), {}, now=NOON)

    with pytest.raises(UnverifiableToken, match="unknown kid"):
        keys.verify(token)
