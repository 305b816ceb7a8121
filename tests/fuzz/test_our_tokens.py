"""Tokens of ours: whatever is near one is none, and each has one spelling.

A second spelling would pass whoever keeps a list of spent or stolen strings (RFC 4648, Section 12).
"""

import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.derived_tokens import DerivedTokens, TokenKind, UnreadableToken
from application.key_material import generate_private_key
from application.sealing import Sealing, Unsealable
from application.secret_keys import Peppers
from application.token_keys import TokenKeys, UnverifiableToken
from tests.application.service import OLD_PEPPER, PEPPER, token_keys
from tests.application.test_token_keys import CLAIMS
from tests.builders import stream_id
from tests.fuzz.mutations import damaged

PEPPERS = Peppers([PEPPER, OLD_PEPPER])
TOKENS = DerivedTokens(PEPPERS)
SEALING = Sealing(PEPPERS, purpose="fuzz", seconds=86_400)
SEALED = SEALING.seal(b"content")
STREAMS = [stream_id() for _ in range(4)]
BASE64URL = string.ascii_letters + string.digits + "-_"
ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")


@pytest.fixture(scope="module")
def keys() -> TokenKeys:
    """A key of each algorithm."""
    made = {algorithm: generate_private_key(algorithm) for algorithm in ALGORITHMS}
    return token_keys(made, *ALGORITHMS)


@pytest.fixture(scope="module")
def tokens(keys: TokenKeys) -> Mapping[str, str]:
    """One token by each, made once: a signature is another each time."""
    return {algorithm: keys.sign(CLAIMS, keys.choose(algorithm)) for algorithm in ALGORITHMS}


derived = st.builds(
    TOKENS.derive,
    st.sampled_from(TokenKind),
    st.sampled_from(STREAMS),
    generation=st.integers(0, 2**32 - 1),
    pepper_id=st.sampled_from(PEPPERS.ids),
)


@given(data=st.data(), token=derived)
def test_nothing_near_a_derived_token_is_one(data: st.DataObject, token: str) -> None:
    """Refresh tokens, codes, session and device codes: as they are, or UnreadableToken."""
    kind = TokenKind(token[:3])
    near = data.draw(damaged(token))

    with pytest.raises(UnreadableToken):
        TOKENS.read(kind, near)


@given(token=derived)
def test_a_derived_token_has_one_spelling(token: str) -> None:
    """In the alphabet of plain base64, which decodes to the same bytes, it is refused."""
    plain = token[:4] + token[4:].replace("-", "+").replace("_", "/")
    if plain == token:
        return
    with pytest.raises(UnreadableToken):
        TOKENS.read(TokenKind(token[:3]), plain)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_has_one_spelling(
    keys: TokenKeys, tokens: Mapping[str, str], algorithm: str
) -> None:
    """Of all last characters, one is taken: the others differ in bits that nothing decodes to."""
    token = tokens[algorithm]
    verified = [end for end in BASE64URL if _verifies(keys, token[:-1] + end)]

    assert verified == [token[-1]]
    assert not _verifies(keys, token + "=")


@given(data=st.data(), algorithm=st.sampled_from(ALGORITHMS))
def test_nothing_near_a_jwt_of_ours_is_one(
    keys: TokenKeys, tokens: Mapping[str, str], data: st.DataObject, algorithm: str
) -> None:
    """Header, payload and signature: any change makes it UnverifiableToken."""
    assert not _verifies(keys, data.draw(damaged(tokens[algorithm])))


@given(data=st.data())
def test_nothing_near_a_sealed_value_opens_to_another(data: st.DataObject) -> None:
    """What a browser carries for us opens to what was sealed, or is Unsealable."""
    try:
        opened = SEALING.open(data.draw(damaged(SEALED)))
    except Unsealable:
        return

    assert opened == b"content"


def _verifies(keys: TokenKeys, token: str) -> bool:
    try:
        keys.verify(token)
    except UnverifiableToken:
        return False
    return True
