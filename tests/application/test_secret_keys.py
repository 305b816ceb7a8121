"""Peppers and master keys: what they protect, how they rotate, and that they never show."""

import copy
import pickle
from dataclasses import replace

import pytest

from application.secret_keys import (
    KEY_BYTES,
    MasterKeyMismatch,
    MasterKeys,
    Peppers,
    PresentedSecret,
    SecretKey,
    WrappedKey,
)

FIRST = SecretKey("key-1", b"\x01" * KEY_BYTES)
SECOND = SecretKey("key-2", b"\x02" * KEY_BYTES)
PRIVATE_KEY = b"the private key, DER"
SECRET = "gls_a-very-secret-value"


def wrapped_under(key: SecretKey) -> WrappedKey:
    """Return PRIVATE_KEY as key "kid-1" wrapped under `key`."""
    return MasterKeys([key]).wrap("kid-1", PRIVATE_KEY)


def flipped(raw: bytes) -> bytes:
    """Return `raw` with one bit changed."""
    return bytes([raw[0] ^ 1]) + raw[1:]


def test_a_wrapped_key_opens_with_its_master_key() -> None:
    """Unwrapping gives the private key back, and the wrapped one holds none of it in the clear."""
    wrapped = wrapped_under(FIRST)

    assert MasterKeys([FIRST]).unwrap(wrapped) == PRIVATE_KEY
    assert (wrapped.kid, wrapped.master_key_id) == ("kid-1", "key-1")
    assert PRIVATE_KEY not in wrapped.ciphertext


def test_wrapping_never_repeats_a_nonce() -> None:
    """The same key wrapped twice reads differently: AES-GCM under one nonce twice gives it away."""
    first, second = wrapped_under(FIRST), wrapped_under(FIRST)

    assert first.nonce != second.nonce
    assert first.ciphertext != second.ciphertext


def test_the_master_key_rotates() -> None:
    """The first master key wraps, and what an earlier one wrapped still opens."""
    rotated = MasterKeys([SECOND, FIRST])

    assert rotated.wrap("kid-2", PRIVATE_KEY).master_key_id == "key-2"
    assert rotated.unwrap(wrapped_under(FIRST)) == PRIVATE_KEY


WRAPPED = wrapped_under(FIRST)
IMPOSTOR = SecretKey("key-1", SECOND.value)
DOES_NOT_OPEN = "master key key-1 does not open the key"


@pytest.mark.parametrize(
    ("keys", "wrapped", "message"),
    [
        pytest.param([SECOND], WRAPPED, "master key key-1 is not in the settings", id="unknown id"),
        pytest.param([IMPOSTOR], WRAPPED, DOES_NOT_OPEN, id="wrong key of the same id"),
        pytest.param([FIRST], replace(WRAPPED, kid="kid-2"), DOES_NOT_OPEN, id="swapped kid"),
        pytest.param(
            [FIRST],
            replace(WRAPPED, ciphertext=flipped(WRAPPED.ciphertext)),
            DOES_NOT_OPEN,
            id="changed ciphertext",
        ),
        pytest.param(
            [FIRST], replace(WRAPPED, nonce=flipped(WRAPPED.nonce)), DOES_NOT_OPEN, id="other nonce"
        ),
        pytest.param(
            [FIRST, SECOND],
            replace(WRAPPED, master_key_id="key-2"),
            "master key key-2 does not open the key",
            id="attributed to another master key",
        ),
    ],
)
def test_a_wrapped_key_opens_no_other_way(
    keys: list[SecretKey], wrapped: WrappedKey, message: str
) -> None:
    """With another master key, or changed in any of its parts, a wrapped key stays closed."""
    with pytest.raises(MasterKeyMismatch) as refusal:
        MasterKeys(keys).unwrap(wrapped)

    assert str(refusal.value) == message


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    """A key of another length is refused by its id, its bytes not shown."""
    with pytest.raises(ValueError, match=r"^key key-1 must be 32 bytes$"):
        SecretKey("key-1", b"k" * length)


def test_nothing_shows_itself() -> None:
    """Printed, none of the secrets shows a byte of what it holds."""
    shown = [
        repr(FIRST),
        repr(PresentedSecret(SECRET)),
        str(PresentedSecret(SECRET)),
        repr(WRAPPED),
        repr(Peppers([FIRST])),
        repr(MasterKeys([FIRST])),
    ]
    hidden = [SECRET, repr(FIRST.value)[2:-1], repr(WRAPPED.ciphertext)[2:-1], "\x01"]

    assert [text for text in shown for part in hidden if part in text] == []
    assert shown[1] == shown[2] == "PresentedSecret(...)"


def test_a_presented_secret_stays_in_its_process() -> None:
    """It cannot be pickled by any protocol, nor copied, and has no attributes to look into."""
    secret = PresentedSecret(SECRET)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"^a presented secret stays in its process$"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)

    assert not hasattr(secret, "__dict__")


def test_a_secret_fits_its_verifier_alone() -> None:
    """A verifier matches the secret it was made of, and no other one, however alike."""
    peppers = Peppers([FIRST])
    verifier = peppers.verifier(PresentedSecret(SECRET))
    presented = (SECRET, SECRET[:-1], f"{SECRET} ", SECRET.upper(), "", verifier)

    found = [
        peppers.matches(PresentedSecret(value), pepper_id="key-1", verifier=verifier)
        for value in presented
    ]

    assert found == [True, False, False, False, False, False]


def test_the_verifier_depends_on_the_pepper() -> None:
    """The same secret has another verifier under another pepper: a database leak alone tells
    nothing.
    """
    secret = PresentedSecret(SECRET)

    assert Peppers([FIRST]).verifier(secret) != Peppers([SECOND]).verifier(secret)


def test_the_pepper_rotates() -> None:
    """New verifiers are made under the first pepper; those of an earlier one still match until it
    is taken out, and never under another's id.
    """
    secret = PresentedSecret(SECRET)
    old = Peppers([FIRST]).verifier(secret)
    rotated, later = Peppers([SECOND, FIRST]), Peppers([SECOND])

    assert rotated.verifier(secret) == Peppers([SECOND]).verifier(secret) != old
    assert rotated.matches(secret, pepper_id="key-1", verifier=old)
    assert not rotated.matches(secret, pepper_id="key-2", verifier=old)
    assert not later.matches(secret, pepper_id="key-1", verifier=old)


def test_never_is_never() -> None:
    """The comparison that stands in where there is nothing to compare with refuses everything."""
    assert Peppers([FIRST]).never(PresentedSecret(SECRET)) is False


def test_a_pseudonym_is_stable() -> None:
    """One address has one pseudonym under one pepper, in another process too; other addresses and
    other peppers have others, and nothing of the address shows.
    """
    address = "192.0.2.7"
    pseudonym = Peppers([FIRST]).pseudonym(address)

    assert Peppers([FIRST, SECOND]).pseudonym(address) == pseudonym
    assert Peppers([FIRST]).pseudonym("192.0.2.8") != pseudonym
    assert Peppers([SECOND]).pseudonym(address) != pseudonym
    assert len(pseudonym) == 32
    assert set(pseudonym) <= set("0123456789abcdef")


def test_a_pseudonym_is_no_verifier() -> None:
    """A text has another hash as network data than as a secret, though the pepper is one."""
    peppers = Peppers([FIRST])

    assert not peppers.verifier(PresentedSecret(SECRET)).startswith(peppers.pseudonym(SECRET))


def test_an_empty_text_has_no_pseudonym() -> None:
    """What was not sent stays empty, and does not look like something that was."""
    assert Peppers([FIRST]).pseudonym("") == ""
