"""Derived tokens: nothing but what we derived is read, and the same is derived again."""

import base64

import pytest

from application.derived_tokens import Derived, DerivedTokens, TokenKind, UnreadableToken
from application.sealing import Sealing, Unsealable
from application.secret_keys import Peppers
from tests.application.service import OLD_PEPPER, PEPPER
from tests.builders import stream_id

STREAM = stream_id()
TOKENS = DerivedTokens(Peppers([PEPPER, OLD_PEPPER]))


@pytest.mark.parametrize("kind", TokenKind)
def test_what_was_derived_is_read(kind: TokenKind) -> None:
    """Stream and generation come back, and deriving again gives the identical string."""
    token = TOKENS.derive(kind, STREAM, generation=7)

    assert TOKENS.read(kind, token) == Derived(STREAM, 7, PEPPER.key_id)
    assert TOKENS.derive(kind, STREAM, generation=7) == token
    assert token.startswith(f"{kind}_")
    assert len(token) == 80


def test_a_token_of_one_kind_is_none_of_another() -> None:
    """A code never passes for a refresh token, whatever is written in front of it."""
    code = TOKENS.derive(TokenKind.CODE, STREAM)
    with pytest.raises(UnreadableToken):
        TOKENS.read(TokenKind.REFRESH, code)
    with pytest.raises(UnreadableToken, match="forged"):
        TOKENS.read(TokenKind.REFRESH, code.replace("glc_", "glr_"))


def test_no_bit_can_be_changed() -> None:
    """Every single bit of a token counts."""
    token = TOKENS.derive(TokenKind.REFRESH, STREAM, generation=1)
    raw = base64.urlsafe_b64decode(token[4:])
    for place in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        forged = "glr_" + base64.urlsafe_b64encode(bytes(changed)).decode()
        with pytest.raises(UnreadableToken):
            TOKENS.read(TokenKind.REFRESH, forged)


@pytest.mark.parametrize(
    "token", ["", "glr_", "glr_" + "A" * 75, "glr_" + "é" * 76, "glr_" + "=" * 76, "x" * 80]
)
def test_what_is_no_token(token: str) -> None:
    """Anything else is refused without an exception of another kind."""
    with pytest.raises(UnreadableToken):
        TOKENS.read(TokenKind.REFRESH, token)


def test_peppers_rotate() -> None:
    """A token under an old pepper is read while that is known, and derived again under it."""
    before = DerivedTokens(Peppers([OLD_PEPPER]))
    token = before.derive(TokenKind.REFRESH, STREAM, generation=2)
    again = TOKENS.derive(TokenKind.REFRESH, STREAM, generation=2, pepper_id=OLD_PEPPER.key_id)

    assert again == token
    assert TOKENS.derive(TokenKind.REFRESH, STREAM, generation=2) != token
    assert TOKENS.read(TokenKind.REFRESH, token) == Derived(STREAM, 2, OLD_PEPPER.key_id)
    with pytest.raises(UnreadableToken):
        DerivedTokens(Peppers([PEPPER])).read(TokenKind.REFRESH, token)


def test_sealed_values() -> None:
    """What was sealed opens for its purpose alone, unchanged, and under a rotated pepper."""
    peppers = Peppers([PEPPER, OLD_PEPPER])
    sealing = Sealing(peppers, purpose="login", seconds=60)
    sealed = sealing.seal(b"content")
    old = Sealing(Peppers([OLD_PEPPER]), purpose="login", seconds=60).seal(b"old")

    assert sealing.open(sealed) == b"content"
    assert sealing.open(old) == b"old"
    for wrong in ("", "x", sealed[:-2], sealed.swapcase(), "é"):
        with pytest.raises(Unsealable):
            sealing.open(wrong)
    with pytest.raises(Unsealable):
        Sealing(peppers, purpose="logout", seconds=60).open(sealed)
    with pytest.raises(Unsealable):
        Sealing(peppers, purpose="login", seconds=-1).open(sealed)
