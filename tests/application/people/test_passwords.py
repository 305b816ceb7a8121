"""Passwords of people: hashed slowly under the pepper, and compared at one cost."""

import pickle

import pytest

from application.people.credentials import Credentials, LoginTaken
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
    assert await passwords.verify("alice", PresentedPassword(PASSWORD), now=NOON)
    assert not await passwords.verify("alice", PresentedPassword(PASSWORD + "x"), now=NOON)


@pytest.mark.parametrize("subject", [None, "nobody"])
async def test_nobody_has_no_password(passwords: Passwords, subject: str | None) -> None:
    """Without a person or a password there is work, and a no."""
    assert not await passwords.verify(subject, PresentedPassword(PASSWORD), now=NOON)


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

    assert not await Passwords(credentials, Peppers([PEPPER])).verify("alice", password, now=NOON)
    assert await Passwords(credentials, Peppers([PEPPER, OLD_PEPPER])).verify(
        "alice", password, now=NOON
    )
    assert await Passwords(credentials, Peppers([PEPPER])).verify("alice", password, now=NOON)


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


def test_a_presented_password_says_nothing() -> None:
    """Neither its repr nor a pickle gives it away."""
    password = PresentedPassword(PASSWORD)

    assert PASSWORD not in repr(password)
    with pytest.raises(TypeError):
        pickle.dumps(password)
