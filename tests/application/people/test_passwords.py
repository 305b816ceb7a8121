"""Passwords of people: hashed slowly under the pepper, and compared at one cost."""

import pickle

import pytest

from application.people.credentials import Credentials, LoginTaken, is_internal
from application.people.passwords import PasswordRefused, Passwords, PresentedPassword
from application.secret_keys import Peppers
from tests.application.service import OLD_PEPPER, PEPPER
from tests.builders import NOON

PASSWORD = "correct horse battery staple"


async def test_a_password_verifies(passwords: Passwords, credentials: Credentials) -> None:
    """The password that was set is the one that verifies; its hash is argon2id."""
    await passwords.set("alice", PresentedPassword(PASSWORD), now=NOON)
    kept = await credentials.password_of("alice")

    assert kept is not None
    assert kept.hash.startswith("$argon2id$")
    assert await passwords.verify("alice", PresentedPassword(PASSWORD))
    assert not await passwords.verify("alice", PresentedPassword(PASSWORD + "x"))


@pytest.mark.parametrize("subject", [None, "nobody"])
async def test_nobody_has_no_password(passwords: Passwords, subject: str | None) -> None:
    """Without a person or a password there is work, and a no."""
    assert not await passwords.verify(subject, PresentedPassword(PASSWORD))


@pytest.mark.parametrize("value", ["short", "x" * 1025, "alice@example.com"])
async def test_passwords_that_are_refused(
    passwords: Passwords, credentials: Credentials, value: str
) -> None:
    """Too short, too long, or the login name itself."""
    await credentials.add_login("Alice@Example.com", subject="alice")
    with pytest.raises(PasswordRefused):
        await passwords.set("alice", PresentedPassword(value), now=NOON)

    assert await credentials.password_of("alice") is None


async def test_an_old_pepper_is_renewed(credentials: Credentials) -> None:
    """A hash under an old pepper verifies and moves to the current one; without it it is void."""
    password = PresentedPassword(PASSWORD)
    await Passwords(credentials, Peppers([OLD_PEPPER])).set("alice", password, now=NOON)

    assert not await Passwords(credentials, Peppers([PEPPER])).verify("alice", password)
    assert await Passwords(credentials, Peppers([PEPPER, OLD_PEPPER])).verify("alice", password)
    assert await Passwords(credentials, Peppers([PEPPER])).verify("alice", password)


async def test_a_renewed_hash_does_not_bring_the_old_password_back(
    passwords: Passwords, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that is changed while a login renews the hash of the old one stays the new one."""
    old, new = PresentedPassword(PASSWORD), PresentedPassword("another good long password")
    await Passwords(credentials, Peppers([OLD_PEPPER])).set("alice", old, now=NOON)
    renew = credentials.renew_hash

    async def overtaken(subject: str, **given: str) -> None:
        await passwords.set(subject, new, now=NOON)
        await renew(subject, **given)

    monkeypatch.setattr(credentials, "renew_hash", overtaken)

    assert await passwords.verify("alice", old)
    assert await passwords.verify("alice", new)
    assert not await passwords.verify("alice", old)


async def test_login_names(credentials: Credentials) -> None:
    """A name is the same however it is typed, belongs to one person, and can be forgotten."""
    await credentials.add_login(" Alice@Example.com ", subject="alice")
    await credentials.add_login("alice@example.com", subject="alice")
    with pytest.raises(LoginTaken):
        await credentials.add_login("ALICE@example.com", subject="mallory")

    assert await credentials.subject_of("ALICE@EXAMPLE.COM") == "alice"
    assert await credentials.subject_of("alice\0") is None
    await credentials.forget("alice")
    assert await credentials.subject_of("alice@example.com") is None


@pytest.mark.parametrize(
    ("login", "internal"),
    [
        ("upstream:0af7651916cd43dd", True),
        (" UPSTREAM:x", True),
        ("".join(chr(ord(c) + 0xFEE0) for c in "upstream:") + "x", True),  # in full width
        ("upstream", False),
        ("alice@upstream", False),
    ],
)
def test_names_of_our_own(login: str, internal: bool) -> None:
    """However it is typed, what is compared as the key of an upstream identity is known as one."""
    assert is_internal(login) is internal


def test_a_presented_password_says_nothing() -> None:
    """Neither its repr nor a pickle gives it away."""
    password = PresentedPassword(PASSWORD)

    assert PASSWORD not in repr(password)
    with pytest.raises(TypeError):
        pickle.dumps(password)
